#pragma once

#include "base/units.h"

namespace weighhouse::io {

/// Has the file `to` share the blocks of the first bytes of `from` (FICLONERANGE: a later write to
/// either copies them), where both lie on one filesystem that can (xfs, btrfs). Returns how many of
/// the first `size` bytes that are, in whole mebibytes; 0, with `to` as it was, where it can't.
Bytes CloneRange(int to, int from, Bytes size);

}  // namespace weighhouse::io
