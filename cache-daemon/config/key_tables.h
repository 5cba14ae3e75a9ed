#pragma once

#include <span>

#include "cache-daemon/config/config.h"

namespace weighhouse::config {

// Parts of the table of keys (ConfigKeys), in the order of the reference page.

/// Whose rights are verified, and how often.
std::span<const ConfigKey> RightsKeys();
/// The services that models come from.
std::span<const ConfigKey> SourceKeys();
/// Which models may be used, and whose addresses sources may have.
std::span<const ConfigKey> SourcePolicyKeys();

}  // namespace weighhouse::config
