#pragma once

#include <functional>

#include "base/error.h"
#include "base/unique_fd.h"

namespace weighhouse::csi {

/// Runs `job` on a thread of its own in a mount namespace of its own, and waits for it. What it
/// mounts there shows nowhere else, and ends with the thread or the process, however that ends.
/// `directory` (O_PATH, on a mount of this process's namespace) is the job's working directory, on
/// the namespace's own copy of its mount. Descriptors are shared, so what the job returns may be
/// attached by the caller. kUnimplemented where no namespace can be made, kResourceExhausted where
/// there are as many as may be; kUnavailable without a thread.
Result<UniqueFd> WithHiddenMounts(int directory, const std::function<Result<UniqueFd>()>& job);

}  // namespace weighhouse::csi
