#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "base/error.h"

namespace weighhouse::agent {

/// A file whose time says when the agent's loop last went round: what a liveness probe looks at,
/// with no port to serve. Used by one thread.
class Heartbeat {
 public:
  /// "": none.
  explicit Heartbeat(std::string path) : path_(std::move(path)) {}
  /// Now, unless it was so within a second. A file that can't be written is logged once.
  void Beat(std::chrono::steady_clock::time_point now);

 private:
  const std::string path_;
  std::chrono::steady_clock::time_point next_{};
  bool failed_ = false;
};

/// Fails with kUnavailable if the file at `path` isn't there, or older than `oldest`; the message
/// says how old it is.
Result<> CheckHeartbeat(const std::string& path, std::chrono::seconds oldest);

}  // namespace weighhouse::agent
