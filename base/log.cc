#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "base/log_limits.h"

namespace weighhouse {
namespace {

/// What spdlog doesn't carry of a line.
struct OwnLine {
  const LogFields& fields;
  size_t most;  ///< that pass of its place in a minute
};
/// The one that this thread is logging: sinks run in the thread of their caller. Null: spdlog's.
thread_local const OwnLine* own_line = nullptr;

LogLevel FromSpdlog(spdlog::level::level_enum level) {
  if (level <= spdlog::level::debug) return LogLevel::kDebug;
  if (level == spdlog::level::info) return LogLevel::kInfo;
  return level == spdlog::level::warn ? LogLevel::kWarning : LogLevel::kError;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// Formats lines with their fields, and leaves out what is too much. Thread-safe by its base.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  LogSink(LogFormat format, LogWriter write, const Clock& clock)
      : format_(format), write_(std::move(write)), clock_(clock) {}
  ~LogSink() override { SayLeftOut(LogLimits::Time::max()); }
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  void SetFormat(LogFormat format) { format_ = format; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    auto now = clock_.Steady();
    SayLeftOut(now);
    LogLevel level = FromSpdlog(message.level);
    std::string_view text(message.payload.data(), message.payload.size());
    if (own_line != nullptr && level != LogLevel::kDebug) {
      std::string kind = fmt::format("{}:{}", message.source.filename, message.source.line);
      if (!limits_.Admit(kind, own_line->most, level, text, now)) return;
    }
    static const LogFields kNone;
    LogContext context = LogContext::Current();
    Write({.time = message.time,
           .level = level,
           .message = text,
           .fields = own_line == nullptr ? kNone : own_line->fields,
           .context = context.fields()});
  }
  void flush_() override {}

 private:
  void SayLeftOut(LogLimits::Time now) {
    for (const LogLimits::LeftOut& left_out : limits_.TakeEnded(now)) {
      LogFields fields = {{"left_out", left_out.lines}};
      std::string message = fmt::format("{} more lines like this were left out in a minute: {}",
                                        left_out.lines, left_out.message);
      Write({.time = clock_.Now(),
             .level = left_out.level,
             .message = message,
             .fields = fields,
             .context = {}});
    }
  }

  void Write(const LogLine& line) {
    write_(format_ == LogFormat::kJson ? JsonLogLine(line) : TextLogLine(line));
  }

  std::atomic<LogFormat> format_;
  const LogWriter write_;
  const Clock& clock_;
  LogLimits limits_;
};

void Say(const std::source_location& where, LogLevel level, std::string_view message,
         const OwnLine& line) {
  const OwnLine* before = std::exchange(own_line, &line);
  spdlog::default_logger_raw()->log(
      {where.file_name(), static_cast<int>(where.line()), where.function_name()}, ToSpdlog(level),
      spdlog::string_view_t(message.data(), message.size()));
  own_line = before;
}

}  // namespace

void WriteToStderr(std::string_view line) { std::fwrite(line.data(), 1, line.size(), stderr); }

void LogEvent(LogLevel level, std::string_view message, const LogFields& fields,
              std::source_location where) {
  Say(where, level, message, {.fields = fields, .most = LogLimits::kEvents});
}

void LogRepeated(LogLevel level, std::string_view message, const LogFields& fields,
                 std::source_location where) {
  Say(where, level, message, {.fields = fields, .most = LogLimits::kRepeated});
}

void SetUpLog(LogOptions options, const Clock& clock) {
  auto sink = std::make_shared<LogSink>(options.format, std::move(options.write), clock);
  auto logger = std::make_shared<spdlog::logger>("weighhouse", std::move(sink));
  logger->set_level(spdlog::level::from_str(options.level));
  spdlog::set_default_logger(std::move(logger));
}

void SetUpLog(LogOptions options) {
  // Never destroyed: the log is written to until the process ends.
  static const Clock& clock = *new SystemClock;
  SetUpLog(std::move(options), clock);
}

void ChangeLog(const std::string& level, LogFormat format) {
  // The logger itself can't be replaced while others log; its level and our format are atomic.
  spdlog::logger& logger = *spdlog::default_logger_raw();
  for (const spdlog::sink_ptr& sink : logger.sinks()) {
    if (auto* ours = dynamic_cast<LogSink*>(sink.get())) ours->SetFormat(format);
  }
  logger.set_level(spdlog::level::from_str(level));
}

}  // namespace weighhouse
