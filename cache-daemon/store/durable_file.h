#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fault.h"
#include "cache-daemon/io/filesystem.h"

namespace weighhouse::store {

/// Where WriteDurably may be killed by a crash test.
struct DurableSteps {
  FaultName written;  ///< beside its place, synced
  FaultName renamed;  ///< in its place, which is not synced
};

/// Makes `text` the content of `path`, durably; a reader sees the old file or the new one. After an
/// error it may be either. `modified`: its time; unset: now.
Result<> WriteDurably(io::Filesystem& filesystem, const std::string& path, std::string_view text,
                      DurableSteps steps,
                      std::optional<std::chrono::system_clock::time_point> modified = std::nullopt);

}  // namespace weighhouse::store
