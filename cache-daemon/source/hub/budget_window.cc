#include "cache-daemon/source/hub/budget_window.h"

#include <algorithm>

namespace weighhouse::source {
namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// The part of a window's budget that is spent without waiting.
constexpr uint64_t kSparePart = 5;
/// Where the server doesn't say how large the whole is.
constexpr uint64_t kSpareUnknown = 20;
/// After a 429 that doesn't say for how long.
constexpr milliseconds kUntold{5000};
/// Two answers of one window may differ by so much: their seconds are whole ones.
constexpr milliseconds kSameWindow{2500};

}  // namespace

std::variant<BudgetWindow::Admitted, BudgetWindow::Refused> BudgetWindow::Begin(Time now) {
  if (remaining_ && now >= ends_) remaining_.reset();
  if (!remaining_) {
    ++under_way_;
    return Admitted{};
  }
  milliseconds left = ceil<milliseconds>(ends_ - now);
  uint64_t free = *remaining_ > under_way_ ? *remaining_ - under_way_ : 0;
  if (free == 0) return Refused{.retry_after = left};
  uint64_t spare = quota_ ? *quota_ / kSparePart : kSpareUnknown;
  if (free > spare) {
    ++under_way_;
    return Admitted{};
  }
  Time turn = std::max(now, next_);
  milliseconds wait = ceil<milliseconds>(turn - now);
  if (wait > kLongestWait) return Refused{.retry_after = wait};
  next_ = turn + left / static_cast<int64_t>(free);
  ++under_way_;
  return Admitted{.wait = wait};
}

void BudgetWindow::Learn(const HttpHeaders& headers, std::chrono::system_clock::time_point clock,
                         Time now) {
  std::optional<RateLimit> limit = ParseRateLimit(headers);
  if (limit && limit->quota) quota_ = limit->quota;
  if (headers.status() == 429) {
    remaining_ = 0;
    ends_ = now + RetryDelay(headers, clock).value_or(kUntold);
    return;
  }
  if (!limit) return;
  Time ends = now + limit->reset + seconds(1);
  auto apart = ends > ends_ ? ends - ends_ : ends_ - ends;
  bool same = remaining_ && apart <= kSameWindow;
  // Answers overtake each other: within a window it only gets less.
  remaining_ = same ? std::min(*remaining_, limit->remaining) : limit->remaining;
  if (same) return;
  ends_ = ends;
  next_ = now;
}

}  // namespace weighhouse::source
