#pragma once

#include <array>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache-daemon/fill/connection.h"
#include "cache-daemon/fill/filler.h"
#include "cache-daemon/fill/source_host.h"

namespace weighhouse::fill {

/// What a user's share of the connections hangs on.
struct ConnectionClaim {
  std::string host;  ///< see HostOfUrl
  std::string fill;  ///< the fill (snapshot) that the file belongs to
  FillPriority priority = FillPriority::kPrefetch;
};

/// Says who may open a connection now. Each host has an allowance (HostPace), and all together have
/// a limit. Within them: fills that somebody waits for before prefetches (which keep one connection
/// among them); among equals the fill that has the fewest at that host; within a fill the first
/// files, two at a time. What one doesn't want the others get. No I/O and no thread of its own: on
/// the strand.
class ConnectionGovernor {
 public:
  struct Options {
    size_t total = 64;     ///< connections at the same moment, over all hosts
    size_t per_host = 32;  ///< and to one host, whatever they bring
  };
  /// `wake`: have Offer called soon, but not from within `wake`.
  ConnectionGovernor(Options options, const Clock& clock, std::function<void()> wake);
  ConnectionGovernor(const ConnectionGovernor&) = delete;
  ConnectionGovernor& operator=(const ConnectionGovernor&) = delete;

  /// From now on; connections beyond them stay until their ranges end.
  void SetLimits(Options options);

  /// Makes `user` known, or changes what it claims. It stays until Leave, and gives its connections
  /// back before that.
  void SetClaim(ConnectionUser& user, ConnectionClaim claim);
  void Leave(const ConnectionUser& user);

  /// A connection, if one is free and nobody with a better claim wants it. Otherwise null, and
  /// `user` is called when it is its turn, unless it calls StopWanting.
  std::unique_ptr<Connection> TryTake(ConnectionUser& user);
  void StopWanting(const ConnectionUser& user);
  /// A connection beside one that lags: at most one more than the host's allowance, none where the
  /// host refused some lately; null: not now.
  std::unique_ptr<Connection> TryTakeHedge(ConnectionUser& user);

  /// Offers what is free to those who want it, the best claim first, and asks a prefetch to yield
  /// where a fill that somebody waits for finds none.
  void Offer();
  /// `user` didn't take what came, because of the bandwidth limit: that says nothing of its host.
  void OnLimited(const ConnectionUser& user);
  /// About every 100 ms.
  void Tick();

  size_t InUse(const ConnectionUser& user) const;
  size_t total_in_use() const { return total_in_use_; }
  /// Users that have a connection.
  size_t users_in_use() const { return in_use_.size(); }
  /// How many connections share the memory for bytes in flight, once those of `user`'s host are all
  /// in use.
  size_t ExpectedConnections(const ConnectionUser& user) const;
  /// The hosts that are known, in the order of their names.
  std::vector<HostConnections> Hosts() const;
  std::optional<HostConnections> HostOf(const ConnectionUser& user) const;

 private:
  friend class Connection;
  struct Entry {
    ConnectionUser* user;
    ConnectionClaim claim;
    SourceHost* host;
    bool wants = false;
  };
  /// Smaller goes first.
  using Rank = std::array<size_t, 4>;

  void OnOpened(const Connection& connection);
  void OnClosed(const Connection& connection);
  void Wake();
  Entry* Find(const ConnectionUser& user);
  const Entry* Find(const ConnectionUser& user) const;
  SourceHost& HostNamed(const std::string& name);
  Rank RankOf(const Entry& entry) const;
  /// The entry that gets the next connection; null: nobody wants one that is free.
  Entry* Best();
  size_t FillInUse(const Entry& entry) const;
  size_t InUse(FillPriority priority) const;
  /// The prefetch that gives a connection back for `entry`; null: none has to.
  ConnectionUser* Yielding(const Entry& entry) const;

  Options options_;
  const Clock& clock_;
  const std::function<void()> wake_;
  bool woken_ = false;
  std::map<std::string, std::unique_ptr<SourceHost>> hosts_;
  std::list<Entry> entries_;  ///< in the order of their first claims
  std::map<const ConnectionUser*, size_t> in_use_;
  size_t total_in_use_ = 0;
};

}  // namespace weighhouse::fill
