#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <variant>

#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source {

/// What one server lets one account ask in a while, as it says in its answers, and how requests are
/// spread over what is left. No I/O, no clock of its own. Not thread-safe.
///
/// While plenty is left nothing waits. Of the last fifth each request waits for its turn, such that
/// it lasts until the window ends: nodes that share a budget see the same numbers, so they slow
/// down together, before any is refused.
class BudgetWindow {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;
  /// Who would wait longer is told when to come back instead: it holds a thread.
  static constexpr Duration kLongestWait{5000};

  struct Admitted {
    Duration wait{0};  ///< before the request may be sent
  };
  struct Refused {
    Duration retry_after{0};
  };
  /// Asks for one more request. One that is admitted is under way until End.
  std::variant<Admitted, Refused> Begin(Time now);
  /// The answer to one: 429 means that nothing is left, also where no number says so.
  void Learn(const HttpHeaders& headers, std::chrono::system_clock::time_point clock, Time now);
  void End() { --under_way_; }
  /// Requests in one window, if the server said so.
  std::optional<uint64_t> quota() const { return quota_; }
  bool idle() const { return under_way_ == 0; }

 private:
  std::optional<uint64_t> remaining_;  ///< nothing: no window is known
  std::optional<uint64_t> quota_;
  Time ends_;  ///< the window that `remaining_` is of
  Time next_;  ///< when the next request that has to wait may go
  uint64_t under_way_ = 0;
};

}  // namespace weighhouse::source
