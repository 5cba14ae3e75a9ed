#pragma once

#include "cli/options.h"
#include "proto/cache.pb.h"

namespace weighhouse::cli {

/// Orders the snapshots: most recently used first; largest first; by the first name that people
/// know them by; what needs a look first (filling, incomplete, complete). What is equal stays in
/// the order in which it was. `reverse`: all of that the other way round.
void Sort(cache::v1::ListResponse& list, SortBy by, bool reverse);

}  // namespace weighhouse::cli
