#include "cache-daemon/source/hub/request_budget.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/thread.h"

namespace weighhouse::source {
namespace {

using std::chrono::steady_clock;
using std::chrono::system_clock;

/// Accounts come and go: idle ones are forgotten beyond this.
constexpr size_t kMostWindows = 1000;

Error UsedUp(const std::string& kind, const std::string& account, std::optional<uint64_t> quota,
             std::chrono::milliseconds retry_after) {
  std::string size = quota ? fmt::format(" ({} in a window)", *quota) : "";
  std::string_view advice =
      account.empty() ? "; a token (HF_TOKEN) has a larger budget, of its own" : "";
  return {.code = Code::kUnavailable,
          .message = fmt::format("the Hub's budget of '{}' requests{}, which all fills here share, "
                                 "is used up: asking again in {}{}",
                                 kind, size, FormatDuration(retry_after), advice),
          .retry_after = retry_after};
}

}  // namespace

RequestBudget::Ticket::~Ticket() {
  if (budget_ == nullptr) return;
  MutexLock lock(budget_->mutex_);
  budget_->windows_[key_].End();
}

void RequestBudget::Ticket::Answered(const HttpHeaders& headers) {
  MutexLock lock(budget_->mutex_);
  budget_->windows_[key_].Learn(headers, system_clock::now(), steady_clock::now());
}

Result<RequestBudget::Ticket> RequestBudget::Admit(const std::string& kind,
                                                   const std::string& account,
                                                   std::stop_token stop) {
  // Not the credentials themselves: what is remembered needs only to tell accounts apart.
  std::string key = kind + (account.empty() ? "" : " " + Digest::Of(account).Hex());
  steady_clock::time_point now = steady_clock::now();
  std::chrono::milliseconds wait{0};
  {
    MutexLock lock(mutex_);
    Forget();
    BudgetWindow& window = windows_[key];
    auto outcome = window.Begin(now);
    if (const auto* refused = std::get_if<BudgetWindow::Refused>(&outcome)) {
      return std::unexpected(UsedUp(kind, account, window.quota(), refused->retry_after));
    }
    wait = std::get<BudgetWindow::Admitted>(outcome).wait;
  }
  Ticket ticket(*this, std::move(key));
  if (wait.count() > 0 && !SleepUntil(now + wait, stop)) return Fail(Code::kCancelled, "stopped");
  return ticket;
}

void RequestBudget::Forget() {
  if (windows_.size() < kMostWindows) return;
  std::erase_if(windows_, [](const auto& each) { return each.second.idle(); });
}

}  // namespace weighhouse::source
