#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/log_format.h"

namespace weighhouse {

/// The field of the request's id.
inline constexpr std::string_view kRequestField = "request";

/// What the lines of a thread are about, beside what each says itself: the request that it serves,
/// and that one's volume, pod and model. A value: whoever hands work to another thread copies it
/// (WorkerPool and FairPool do so by themselves), and the other one makes a LogScope of it.
class LogContext {
 public:
  /// The calling thread's; empty where nothing was said.
  static LogContext Current();
  /// This one and `fields`, which count where a key is in both.
  LogContext With(LogFields fields) const;

  bool empty() const { return !fields_; }
  const LogFields& fields() const;
  /// The value of `key`; "" if it isn't there.
  std::string_view Find(std::string_view key) const;
  std::string_view request() const { return Find(kRequestField); }

 private:
  std::shared_ptr<const LogFields> fields_;  // shared by its copies; null: none
};

/// Makes a context the thread's while it lives; then the one before is back. Scopes nest.
class LogScope {
 public:
  explicit LogScope(LogContext context);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  const LogContext context_;
  const LogContext* const before_;
};

/// `job`, to be run in the calling thread's context.
std::function<void()> InLogContext(std::function<void()> job);

/// A new request's id: 16 lower-case hexadecimal digits, at random.
std::string NewRequestId();
/// Whether `text` looks as one: nothing else is taken from a caller.
bool IsRequestId(std::string_view text);

/// The current context with `fields`, and the id of a request: `given` if it is one, else a new
/// one.
LogContext ContextOfRequest(std::string_view given, LogFields fields = {});

}  // namespace weighhouse
