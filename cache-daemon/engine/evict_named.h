#pragma once

#include <string>

#include "cache-daemon/engine/engine.h"

namespace weighhouse {

/// Engine::Evict.
Result<Engine::EvictOutcome> EvictNamed(store::Store& store, const std::string& snapshot_id,
                                        const std::string& model);

}  // namespace weighhouse
