#pragma once

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/index.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::store {

/// What recovery found. `summary.took` is the caller's to fill in.
struct Recovered {
  Index index;
  RecoverySummary summary;
};

/// Rebuilds the index from the names below a prepared root, and removes what a crash left: ingests
/// that can't be resumed or that no incomplete snapshot wants, half-written files, half-built and
/// half-removed trees, trees and blobs that no record names, leases and references to unknown
/// snapshots. It never removes a blob that a record lists (by a sha256 identity or as verified),
/// nor a tree that is leased. No blob is looked at: sizes come from the records. Garbage that can't
/// be removed is logged and stays for the next start; a directory that can't be listed fails, and a
/// record that the disk doesn't give (a damaged one is taken as absent).
Result<Recovered> Recover(io::Filesystem& filesystem, const RootLayout& layout);

}  // namespace weighhouse::store
