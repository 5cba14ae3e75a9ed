#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/unique_fd.h"
#include "base/units.h"

namespace weighhouse::io {

enum class EntryKind { kFile, kDirectory, kOther };

struct DirectoryEntry {
  std::string name;
  EntryKind kind = EntryKind::kOther;
};

struct FileStatus {
  EntryKind kind = EntryKind::kOther;
  Bytes size = 0;
  Bytes allocated = 0;  ///< st_blocks * 512
  uint64_t device = 0;
  uint64_t inode = 0;
  std::chrono::system_clock::time_point modified;
};

struct Space {
  Bytes total = 0;
  Bytes free = 0;  ///< for an unprivileged process (f_bavail)
};

enum class Replace { kNever, kAllowed };
enum class IoMode { kBuffered, kDirect };

struct OpenedFile {
  UniqueFd fd;
  IoMode mode = IoMode::kBuffered;  ///< kDirect only where the filesystem takes O_DIRECT
};

/// The seam to the disk: what the store does to names and whole small files. One real
/// implementation, and test ones that fail at a chosen step; all pass the same contract suite.
/// Paths are absolute. Nothing follows a symbolic link in the last component. Thread-safe. Errors
/// as in FailErrno, with the operation and the path in front.
class Filesystem {
 public:
  virtual ~Filesystem() = default;

  // Files
  /// Creates `path` (0600; kAlreadyExists if it is there) for reading and writing, with O_DIRECT
  /// where asked and possible.
  virtual Result<OpenedFile> CreateFile(const std::string& path, IoMode mode) = 0;
  virtual Result<OpenedFile> OpenForRead(const std::string& path, IoMode mode) = 0;
  /// A file that is there, for reading and writing.
  virtual Result<OpenedFile> OpenForWrite(const std::string& path, IoMode mode) = 0;
  /// Allocates [0, size) (fallocate(2)); where the filesystem can't, sets the length and succeeds.
  virtual Result<> Allocate(int fd, Bytes size, const std::string& path) = 0;
  virtual Result<> Truncate(int fd, Bytes size, const std::string& path) = 0;
  virtual Result<> ChangeMode(int fd, unsigned mode, const std::string& path) = 0;
  /// fdatasync(2).
  virtual Result<> SyncData(int fd, const std::string& path) = 0;
  /// At most `limit` bytes of a small file; kOutOfRange if it is larger.
  virtual Result<std::string> ReadFile(const std::string& path, Bytes limit) = 0;
  /// Creates or truncates `path` (0644) with `content`; not synced.
  virtual Result<> WriteFile(const std::string& path, std::string_view content) = 0;
  /// Appends `content` to `path` (made if missing) and fdatasyncs it.
  virtual Result<> AppendAndSync(const std::string& path, std::string_view content) = 0;

  // Names
  virtual Result<> MakeDirectory(const std::string& path) = 0;  ///< 0755; kAlreadyExists
  virtual Result<> Rename(const std::string& from, const std::string& to, Replace replace) = 0;
  /// Hard link. EMLINK (ext4: 65,000 names a file) is kOutOfRange.
  virtual Result<> Link(const std::string& existing, const std::string& name) = 0;
  virtual Result<> Unlink(const std::string& path) = 0;
  virtual Result<> RemoveDirectory(const std::string& path) = 0;  ///< must be empty
  /// fsync(2) of a directory: makes the names in it durable.
  virtual Result<> SyncDirectory(const std::string& path) = 0;
  /// fsync(2) of a file by name.
  virtual Result<> SyncFile(const std::string& path) = 0;
  virtual Result<std::vector<DirectoryEntry>> List(const std::string& path) = 0;

  // Facts
  virtual Result<FileStatus> Status(const std::string& path) = 0;
  virtual Result<> SetModified(const std::string& path,
                               std::chrono::system_clock::time_point time) = 0;
  virtual Result<Space> SpaceOf(const std::string& path) = 0;
};

/// The machine's own filesystem calls.
class PosixFilesystem final : public Filesystem {
 public:
  Result<OpenedFile> CreateFile(const std::string& path, IoMode mode) override;
  Result<OpenedFile> OpenForRead(const std::string& path, IoMode mode) override;
  Result<OpenedFile> OpenForWrite(const std::string& path, IoMode mode) override;
  Result<> Allocate(int fd, Bytes size, const std::string& path) override;
  Result<> Truncate(int fd, Bytes size, const std::string& path) override;
  Result<> ChangeMode(int fd, unsigned mode, const std::string& path) override;
  Result<> SyncData(int fd, const std::string& path) override;
  Result<std::string> ReadFile(const std::string& path, Bytes limit) override;
  Result<> WriteFile(const std::string& path, std::string_view content) override;
  Result<> AppendAndSync(const std::string& path, std::string_view content) override;
  Result<> MakeDirectory(const std::string& path) override;
  Result<> Rename(const std::string& from, const std::string& to, Replace replace) override;
  Result<> Link(const std::string& existing, const std::string& name) override;
  Result<> Unlink(const std::string& path) override;
  Result<> RemoveDirectory(const std::string& path) override;
  Result<> SyncDirectory(const std::string& path) override;
  Result<> SyncFile(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> List(const std::string& path) override;
  Result<FileStatus> Status(const std::string& path) override;
  Result<> SetModified(const std::string& path,
                       std::chrono::system_clock::time_point time) override;
  Result<Space> SpaceOf(const std::string& path) override;

 private:
  /// Rename(kNever) where the filesystem has no RENAME_NOREPLACE.
  Result<> RenameUnlessTaken(const std::string& from, const std::string& to)
      EXCLUDES(rename_mutex_);

  Mutex rename_mutex_;
};

/// Removes `path` and all below it, deepest first. A missing path is fine. Follows no link: a link
/// is removed, never what it names. Directories that their owner may not write to (0555) are made
/// 0755 first.
Result<> RemoveTree(Filesystem& filesystem, const std::string& path);

/// What the names end in under which ReplaceFileDurably writes beside its target: a crash can leave
/// one, and whoever scans the directory at start removes it.
inline constexpr std::string_view kBesideSuffix = ".new";

/// Writes `content` to `path` such that a reader sees the old file or the new one, and that it
/// survives a power cut: write beside, sync, rename, sync the directory. What it wrote beside is
/// removed again on failure.
Result<> ReplaceFileDurably(Filesystem& filesystem, const std::string& path,
                            std::string_view content);

}  // namespace weighhouse::io
