#pragma once

#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"

namespace weighhouse::store {

/// The one module that knows the names below the cache root (design: On disk, format 1). Names
/// whose first character is a dot are temporary: being written, or on their way out; recovery
/// removes them.
class RootLayout {
 public:
  static constexpr std::string_view kFormat = "1";

  /// `root`: an absolute path.
  explicit RootLayout(std::string root);

  const std::string& root() const { return root_; }
  /// The absolute form of a path relative to the root.
  std::string Absolute(std::string_view relative) const;

  std::string FormatFile() const { return Absolute("format"); }
  std::string LockFile() const { return Absolute("lock"); }

  std::string BlobsDirectory() const { return Absolute("blobs/sha256"); }
  /// The directory of the blobs whose digest begins with `prefix` (two hexadecimal digits).
  std::string BlobDirectory(std::string_view prefix) const;
  std::string BlobDirectory(const Digest& sha256) const;
  std::string Blob(const Digest& sha256) const;

  std::string IngestsDirectory() const { return Absolute("ingests"); }
  std::string Ingest(const std::string& id) const { return Absolute("ingests/" + id); }
  std::string IngestData(const std::string& id) const { return Ingest(id) + "/data"; }
  /// Which ranges of the data are known to be on the disk.
  std::string IngestState(const std::string& id) const { return Ingest(id) + "/state"; }

  std::string SnapshotsDirectory() const { return Absolute("snapshots"); }
  std::string SnapshotRecord(const std::string& id) const;
  /// The journal of verified contents of a snapshot that fills.
  std::string SnapshotJournal(const std::string& id) const;

  std::string ReferencesDirectory() const { return Absolute("references"); }
  std::string Reference(const std::string& fingerprint) const;

  std::string LayersDirectory() const { return Absolute("layers"); }
  std::string Layer(const std::string& id) const;

  std::string LeasesDirectory() const { return Absolute("leases"); }
  std::string Lease(const std::string& id) const { return Absolute("leases/" + id); }

  std::string HoldsDirectory() const { return Absolute("holds"); }
  std::string Hold(const std::string& id) const;

  std::string VolumesDirectory() const { return Absolute("volumes"); }
  std::string Volume(const std::string& key) const;

  std::string GrantsDirectory() const { return Absolute("grants"); }
  std::string Grants(const std::string& key) const;
  /// What the grants' credentials are digested with; the daemon's user alone may read it.
  std::string GrantKeyFile() const { return Absolute("grant-key"); }

  std::string QuarantineDirectory() const { return Absolute("quarantine"); }
  std::string Quarantined(const Digest& sha256) const;

  /// How far the scrub is.
  std::string ScrubFile() const { return Absolute("scrub"); }

  // Trees are named relative to the root: that is how they are handed out and recorded.
  static constexpr std::string_view kFilesTrees = "trees/files";
  static constexpr std::string_view kHubTrees = "trees/hub";
  static std::string FilesTree(const std::string& snapshot_id);
  /// The names inside a hub tree depend on all of these, and so does its own.
  static std::string HubTree(const std::string& snapshot_id, std::string_view repository,
                             std::string_view commit, std::string_view requested_revision);
  /// Where `tree` is once its name is taken by one that was withdrawn but is still mounted;
  /// `generation` from 2.
  static std::string TreeGeneration(const std::string& tree, int generation);
  /// Beside `tree`, while it is built.
  static std::string UnfinishedTree(const std::string& tree);
  /// Beside `tree`, while it is removed.
  static std::string Trash(const std::string& tree, size_t number);
  /// `models--org--name` for `org/name` (hub-docs, local-cache.md).
  static std::string HubDirectory(std::string_view repository);

  /// Where `path` is written before it is renamed into place.
  static std::string TemporaryBeside(const std::string& path);
  static bool IsTemporary(std::string_view name) { return name.starts_with('.'); }

 private:
  std::string root_;
};

/// The directory part of `path`.
std::string ParentOf(const std::string& path);

/// True if `path` can be made below a directory without leaving it: relative, at most 64
/// components, neither empty nor `.` nor `..` nor over 255 bytes (NAME_MAX), valid UTF-8 without
/// control characters.
bool IsSafeRelativePath(std::string_view path);

}  // namespace weighhouse::store
