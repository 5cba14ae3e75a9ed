#pragma once

#include "cache-daemon/engine/resolution.h"

namespace weighhouse {

/// What `model` means now, as Engine::Stat tells it. Blocks while its source is asked.
Result<StatView> StatModel(const EngineParts& parts, const ModelReference& model,
                           const Credentials& credentials);

}  // namespace weighhouse
