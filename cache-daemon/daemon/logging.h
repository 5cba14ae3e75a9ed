#pragma once

#include <string>

#include "base/log_format.h"
#include "cache-daemon/daemon/error_memory.h"

namespace weighhouse::daemon {

/// Has the process log to stderr (base/log.h): `level` as in `log.level`. Once, before other
/// threads log. Warnings and errors go to `memory` too, also those that are too many for the log;
/// it outlives all that log.
void SetUpLogging(const std::string& level, LogFormat format, ErrorMemory& memory);

}  // namespace weighhouse::daemon
