#pragma once

#include <span>

#include "cache-daemon/config/config.h"

namespace weighhouse::config {

/// Those rows of the table of keys that say which models and whose addresses sources may use. They
/// stand before `admin.listen`.
std::span<const ConfigKey> SourcePolicyKeys();

}  // namespace weighhouse::config
