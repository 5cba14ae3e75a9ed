#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/model.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::store {

/// One tree of a snapshot. Recorded before the tree is built, so that a tree that no record names
/// is garbage.
struct TreeRecord {
  std::string path;  ///< relative to the root
  Layout layout = Layout::kFiles;
  std::string requested_revision;  ///< the name under refs/; empty: none
  /// A blob in it proved bad after pods had mounted it: it stays for them and is handed out no
  /// more.
  bool withdrawn = false;
  Bytes copied =
      0;  ///< bytes of files that are copies, because their blob had no hard link left to give
  bool operator==(const TreeRecord&) const = default;
};

/// What `snapshots/<id>.json` says.
struct SnapshotRecord {
  Snapshot snapshot;
  /// One per file: true if its blob came to it from another, anonymous origin. This origin then
  /// never delivered the bytes, so the record doesn't speak for them.
  std::vector<bool> borrowed;
  std::vector<TreeRecord> trees;
};

/// The record of a listing that nobody has yet.
SnapshotRecord NewSnapshotRecord(const Listing& listing);

/// What makes a listing unusable as a snapshot: hostile or doubled paths, a path that is both file
/// and directory, a sha256 identity that is none, text that isn't UTF-8. kInvalidArgument names it.
/// Sources check too: this is the store's own door.
Result<> CheckSnapshotListing(const Listing& listing);

std::string SnapshotToJson(const SnapshotRecord& record);
/// Reads what SnapshotToJson wrote for `id`. Tolerant of nothing, the id is recomputed: else
/// kDataLoss says what is wrong. `last_used` is not in the record (it is the file's time).
Result<SnapshotRecord> ParseSnapshotRecord(std::string_view json, const std::string& id);

/// One line of the journal of verified contents, with line feeds at both ends: an earlier line that
/// was torn can't spoil it.
std::string JournalLine(const FileIdentity& identity, Bytes size, const Digest& sha256);
/// Gives the files of `record` the blobs that the journal names. Returns the number of lines that
/// say nothing (torn ones).
size_t ApplyJournal(std::string_view journal, SnapshotRecord& record);

/// Every blob that the record lists, by a verified blob or by a sha256 identity, with its size.
/// Recovery keeps these.
std::map<Digest, Bytes> ListedBlobs(const Snapshot& snapshot);

}  // namespace weighhouse::store
