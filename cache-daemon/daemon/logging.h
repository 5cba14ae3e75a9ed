#pragma once

#include <string>

#include "cache-daemon/config/config.h"
#include "cache-daemon/daemon/error_memory.h"

namespace weighhouse::daemon {

/// Sends spdlog's default logger to stderr: `level` as in `log.level`. Once, before other threads
/// log. Warnings and errors go to `memory` too, which outlives all that log.
void SetUpLogging(const std::string& level, config::LogFormat format, ErrorMemory& memory);
/// From now on, whoever logs. Thread-safe.
void ChangeLogging(const std::string& level, config::LogFormat format);

/// One JSON object and a newline: {"time":"2025-01-31T12:00:00.123Z","level":"info","message":…}.
/// For tests.
std::string JsonLogLine(std::chrono::system_clock::time_point time, std::string_view level,
                        std::string_view message);

}  // namespace weighhouse::daemon
