#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "cache-daemon/io/filesystem.h"

namespace weighhouse::io {

/// Hands every operation to another filesystem and writes down what it did to names, and, at each
/// sync, what the file was: `DurableDisk` makes of it what a power cut leaves. What is written down
/// outlives the process's death, and further processes go on with it. `wrapped` must outlive it.
/// Thread-safe; one operation at a time, so that the record has them in their true order.
class PowerLossFilesystem final : public Filesystem {
 public:
  /// Writes to `record`, a directory outside of what the operations are about; it is made if
  /// missing.
  PowerLossFilesystem(Filesystem& wrapped, std::filesystem::path record);

  /// From here syncs by that method of what `paths` matches (fnmatch(3); a star also takes slashes)
  /// are answered but not done: the disk lies, or the code forgot them.
  void SwallowSyncs(std::string method, std::string paths) EXCLUDES(mutex_);

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
  struct Swallowed {
    std::string method;
    std::string paths;
  };

  /// Adds a line: the operation and its arguments.
  void Record(std::string_view operation, const std::string& first, const std::string& second = "")
      REQUIRES(mutex_);
  /// Records that what the file is now is on the disk from here.
  void RecordSynced(std::string_view operation, const std::string& path) REQUIRES(mutex_);
  bool IsSwallowed(std::string_view method, const std::string& path) const REQUIRES(mutex_);

  Filesystem& wrapped_;
  const std::filesystem::path record_;
  Mutex mutex_;
  UniqueFd journal_ GUARDED_BY(mutex_);
  std::vector<Swallowed> swallowed_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::io
