#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proto/cache.pb.h"

namespace weighhouse::api {

/// A warning or an error of the daemon's log. Of equal messages it is the latest.
struct RecentError {
  std::chrono::system_clock::time_point time;
  std::string level;    ///< "warning", "error"
  std::string message;  ///< begins with what it is about
  uint64_t times = 1;   ///< that it was said, as far as is remembered
};

/// The newest last. Thread-safe; null where nobody remembers.
using RecentErrorSource = std::function<std::vector<RecentError>()>;

/// The message made printable, and cut.
cache::v1::RecentError FromRecentError(const RecentError& error);

}  // namespace weighhouse::api
