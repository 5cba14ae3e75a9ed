#pragma once

#include "base/model.h"
#include "proto/cache.pb.h"

namespace weighhouse::csi {

/// The reference as the daemon is asked for it.
cache::v1::Model ToMessage(const ModelReference& reference);

}  // namespace weighhouse::csi
