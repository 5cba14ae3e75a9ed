#pragma once

#include "base/error.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace weighhouse::csi {

/// What a tree is to its scratch layer.
enum class TreeKind {
  kFiles,
  kHub,  ///< a Hugging Face cache, whose references are rewritten when a branch moves
};

/// The layer that takes what one pod writes: a filesystem in memory that no path leads to, which
/// ends with the last mount that uses it. A value.
struct ScratchLayer {
  UniqueFd mount;  ///< detached
  UniqueFd upper;  ///< O_PATH: every directory of the tree, open to every user, and its references
  UniqueFd work;   ///< O_PATH: what an overlay needs beside it
};

/// Makes the layer for `tree` (O_PATH), of `size` bytes at most, and a number of files that grows
/// with it. What is written is charged to the cgroup of who writes. kFailedPrecondition if the tree
/// has more directories or entries than a model has; kUnimplemented without tmpfs.
Result<ScratchLayer> MakeScratchLayer(int tree, TreeKind kind, Bytes size);

}  // namespace weighhouse::csi
