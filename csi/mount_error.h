#pragma once

#include <string_view>

#include "base/error.h"

namespace weighhouse::csi {

/// The failure of a mount's system call: kUnimplemented where the number is what kernels and
/// filesystems answer that lack a feature or forbid it for good, else as FailErrno.
std::unexpected<Error> MountFailure(int error_number, std::string_view what);

/// Of open_tree(2), whose other numbers say nothing of what the kernel can do: kUnimplemented only
/// where it lacks the call.
std::unexpected<Error> CloneFailure(int error_number);

}  // namespace weighhouse::csi
