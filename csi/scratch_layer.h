#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace weighhouse::csi {

/// What a tree is to its scratch layer.
enum class TreeKind {
  kFiles,
  kHub,  ///< a Hugging Face cache, whose references are rewritten when a branch moves
};

/// What a layer starts with. A value.
struct ScratchContents {
  UniqueFd tree;  ///< a clone of the tree's mount, without what somebody mounted inside it
  std::vector<std::string> directories;  ///< relative to the tree, parents first
  std::vector<std::string> references;

  /// Reads them from `tree` (O_PATH). kOutOfRange, with the way out, if it has more than a model
  /// has.
  static Result<ScratchContents> Read(int tree, TreeKind kind);

  /// The kernel's memory that is charged to who makes the layer, until nobody holds it any more.
  Bytes Cost() const;
  /// The most that it can be.
  static Bytes MostCost();
};

/// The layer that takes what one pod writes: a filesystem in memory that no path leads to, which
/// ends with the last mount or open file that uses it. A value.
struct ScratchLayer {
  UniqueFd mount;  ///< detached
  UniqueFd upper;  ///< O_PATH: every directory of the tree, open to every user, and its references
  UniqueFd work;   ///< O_PATH: what an overlay needs beside it
};

/// Makes the layer, of `size` bytes at most, and a number of files that grows with it and with its
/// cost (LiveScratchCost reads that again). What is written is charged to the cgroup of who writes.
/// kUnimplemented without tmpfs.
Result<ScratchLayer> MakeScratchLayer(const ScratchContents& contents, Bytes size);

}  // namespace weighhouse::csi
