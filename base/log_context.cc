#include "base/log_context.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>

#include <fmt/format.h>

namespace weighhouse {
namespace {

/// Of the innermost LogScope. A plain pointer: it may be looked at while the thread's objects die.
thread_local const LogContext* current_context = nullptr;

}  // namespace

LogContext LogContext::Current() {
  return current_context == nullptr ? LogContext() : *current_context;
}

LogContext LogContext::With(LogFields added) const {
  for (const LogField& field : fields()) {
    bool replaced =
        std::ranges::any_of(added, [&](const LogField& other) { return other.key == field.key; });
    if (!replaced) added.push_back(field);
  }
  LogContext both;
  both.fields_ = std::make_shared<const LogFields>(std::move(added));
  return both;
}

const LogFields& LogContext::fields() const {
  static const LogFields kNone;
  return fields_ ? *fields_ : kNone;
}

std::string_view LogContext::Find(std::string_view key) const {
  for (const LogField& field : fields()) {
    if (field.key == key) return field.value;
  }
  return "";
}

LogScope::LogScope(LogContext context)
    : context_(std::move(context)), before_(std::exchange(current_context, &context_)) {}

LogScope::~LogScope() { current_context = before_; }

std::function<void()> InLogContext(std::function<void()> job) {
  LogContext context = LogContext::Current();
  if (context.empty()) return job;
  return [context = std::move(context), job = std::move(job)] {
    LogScope scope(context);
    job();
  };
}

std::string NewRequestId() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random() & UINT32_MAX, random() & UINT32_MAX);
}

bool IsRequestId(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

LogContext ContextOfRequest(std::string_view given, LogFields fields) {
  std::string id = IsRequestId(given) ? std::string(given) : NewRequestId();
  fields.emplace_back(kRequestField, id);
  return LogContext::Current().With(std::move(fields));
}

}  // namespace weighhouse
