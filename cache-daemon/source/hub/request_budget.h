#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/source/hub/budget_window.h"

namespace weighhouse::source {

/// The budgets of requests that one endpoint gives, shared by all that ask it: a window for each
/// class of requests and account. Thread-safe.
class RequestBudget {
 public:
  RequestBudget() = default;
  RequestBudget(const RequestBudget&) = delete;
  RequestBudget& operator=(const RequestBudget&) = delete;

  /// One request on its way; the budget outlives it.
  class Ticket {
   public:
    Ticket(RequestBudget& budget, std::string key) : budget_(&budget), key_(std::move(key)) {}
    ~Ticket();
    Ticket(Ticket&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), key_(std::move(other.key_)) {}
    Ticket& operator=(Ticket&&) = delete;
    /// An answer of the endpoint to it.
    void Answered(const HttpHeaders& headers);

   private:
    RequestBudget* budget_;
    std::string key_;
  };

  /// Waits, for at most BudgetWindow::kLongestWait, until one more request of `kind` ("api",
  /// "resolvers") may be sent for the account that `account` tells apart ("" for none).
  /// kUnavailable with retry_after where that is later; kCancelled.
  Result<Ticket> Admit(const std::string& kind, const std::string& account, std::stop_token stop)
      EXCLUDES(mutex_);

 private:
  void Forget() REQUIRES(mutex_);

  Mutex mutex_;
  std::map<std::string, BudgetWindow> windows_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
