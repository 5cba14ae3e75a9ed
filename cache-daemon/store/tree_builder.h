#pragma once

#include <map>
#include <set>
#include <string>

#include "base/digest.h"
#include "base/model.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::store {

/// What a tree consists of. Paths are relative to the tree.
struct TreePlan {
  std::set<std::string> directories;         ///< sorted, so parents come first
  std::map<std::string, Digest> links;       ///< files that are hard links to blobs
  std::map<std::string, std::string> texts;  ///< small files of our own
};

/// The plan of a complete snapshot's tree. For kHub:
/// `models--org--name/snapshots/<revision>/<path>`, and if `requested_revision` isn't empty
/// `models--org--name/refs/<requested_revision>` with the revision and no line feed (hub-docs,
/// local-cache.md). kInvalidArgument for kHub without a repository, or names that no directory can
/// hold.
Result<TreePlan> PlanTree(const Snapshot& snapshot, Layout layout,
                          const std::string& requested_revision);

/// The name under refs/ that a request gets: none for an empty one or a commit, which never moves.
std::string RefName(const std::string& requested_revision);

/// Builds the tree `path` (relative to the root) beside its place and renames it there; durable
/// when it returns. Returns the bytes that had to be copied, because their blob has as many links
/// as the filesystem allows. On failure nothing stays, unless it could not be removed.
Result<Bytes> BuildTree(io::Filesystem& filesystem, const RootLayout& layout, const TreePlan& plan,
                        const std::string& path);

}  // namespace weighhouse::store
