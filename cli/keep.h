#pragma once

#include <string>
#include <vector>

#include "cli/keep_patch.h"
#include "cli/options.h"
#include "proto/cache.pb.h"

namespace weighhouse::cli {

/// The configuration file, `keep.file` or the one that `info` says the daemon reads, as EditKeep
/// changes it. Errors are its, and those of reading; kFailedPrecondition where no file is named.
Result<std::string> ChangedConfiguration(const KeepOptions& keep,
                                         const cache::v1::InfoResponse& info, KeepEdit edit,
                                         const std::vector<std::string>& models);

}  // namespace weighhouse::cli
