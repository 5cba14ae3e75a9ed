#pragma once

#include <deque>
#include <set>
#include <string>
#include <string_view>

#include "cache-daemon/fill/connection.h"
#include "cache-daemon/fill/host_pace.h"

namespace weighhouse::fill {

/// Scheme, host and port of a URL, lower-case where case says nothing: what connections are counted
/// by. "file://" for local files.
std::string HostOfUrl(std::string_view url);

/// One host that files come from: the connections to it, and how many it gets. On the strand.
class SourceHost {
 public:
  using Time = HostPace::Time;
  SourceHost(std::string name, size_t limit, Time now)
      : name_(std::move(name)), pace_(limit, now) {}

  const std::string& name() const { return name_; }
  HostPace& pace() { return pace_; }
  const HostPace& pace() const { return pace_; }
  const std::set<Connection*>& connections() const { return connections_; }
  bool HasRoom() const { return connections_.size() < pace_.allowance(); }

  void Opened(Connection& connection, Time now);
  void Closed(Connection& connection, Time now);
  /// About every 100 ms: measures its connections and its pace.
  void Tick(Time now);
  /// See Connection::IsLagging.
  bool IsLagging(const Connection& connection, Time now) const;

 private:
  const std::string name_;
  HostPace pace_;
  std::set<Connection*> connections_;
  std::deque<double> ended_rates_;  ///< of the last connections, bytes a second
};

}  // namespace weighhouse::fill
