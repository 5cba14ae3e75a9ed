#pragma once

#include <functional>
#include <source_location>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log_context.h"
#include "base/log_format.h"

namespace weighhouse {

/// Says `message` to people and `fields` to programs, with the thread's LogContext. Never throws,
/// and never blocks but for the write. Of each place that calls this LogLimits::kEvents lines a
/// minute pass, more than a node has of anything in order. What was logged with spdlog's own
/// functions goes the same way, without fields and without a bound: that is for what a process says
/// once.
void LogEvent(LogLevel level, std::string_view message, const LogFields& fields = {},
              std::source_location where = std::source_location::current());

/// The same for what a failure may repeat: ten lines a minute pass (LogLimits::kRepeated). The next
/// line that is written after that minute says how many were left out. Debug lines all pass.
void LogRepeated(LogLevel level, std::string_view message, const LogFields& fields = {},
                 std::source_location where = std::source_location::current());

/// Where whole lines go. Called by one thread at a time.
using LogWriter = std::function<void(std::string_view line)>;
void WriteToStderr(std::string_view line);

struct LogOptions {
  std::string level = "info";  ///< as spdlog names them: debug, info, warning (or warn), error, …
  LogFormat format = LogFormat::kText;
  LogWriter write = WriteToStderr;
};

/// Makes the process log this way. Once, before other threads log. `clock` outlives all logging.
void SetUpLog(LogOptions options, const Clock& clock);
void SetUpLog(LogOptions options);
/// From now on, whoever logs. After SetUpLog; thread-safe.
void ChangeLog(const std::string& level, LogFormat format);

}  // namespace weighhouse
