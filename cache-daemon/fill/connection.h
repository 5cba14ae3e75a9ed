#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/units.h"
#include "cache-daemon/fill/rate_meter.h"

namespace weighhouse::fill {

class ConnectionGovernor;
class SourceHost;

/// Who fetches over connections: one file. Calls come from ConnectionGovernor::Offer.
class ConnectionUser {
 public:
  virtual ~ConnectionUser() = default;
  /// A connection that this user wants is free: take it now.
  virtual void OnConnectionFree() = 0;
  /// A fill that goes first needs a connection: give one back now.
  virtual void OnYield() = 0;
};

/// Leave to use one connection to one host; destroying it gives it back. It must not outlive its
/// governor. On the strand.
class Connection {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Connection(ConnectionGovernor& governor, SourceHost& host, ConnectionUser& user, Time now);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// `count` bytes came over it, of which `fresh` hadn't come over another.
  void AddBytes(Bytes count, Bytes fresh);
  /// Nobody takes what it offers, or somebody does again: that says nothing of its speed.
  void SetPaused(bool paused);
  void OnRefused(std::optional<std::chrono::milliseconds> retry_after);
  void OnLost();
  /// It brings less than a quarter of what the host's others bring each (or, without others, of
  /// what those before it brought), for a quarter of a second by now.
  bool IsLagging() const;

  SourceHost& host() const { return host_; }
  ConnectionUser& user() const { return user_; }

 private:
  friend class SourceHost;
  Time Now() const;
  /// Its rate says something: it is not new, and was not paused lately.
  bool Mature(Time now) const;

  ConnectionGovernor& governor_;
  SourceHost& host_;
  ConnectionUser& user_;
  const Time begun_;
  Time flowing_since_;
  bool paused_ = false;
  bool was_paused_ = false;
  Bytes bytes_ = 0;
  double rate_ = 0;
  RateMeter meter_;
};

}  // namespace weighhouse::fill
