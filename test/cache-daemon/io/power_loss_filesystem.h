#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/io/filesystem.h"
#include "test/cache-daemon/io/operation_journal.h"

namespace weighhouse::io {

/// Hands every operation to another filesystem and writes down what it did to names, and, at each
/// sync, what the file was before it: `DurableDisk` makes of it what a power cut leaves. What is
/// written down outlives the process's death, also one in the middle of an operation, and further
/// processes go on with it. `wrapped` must outlive it. Thread-safe; one operation at a time, so
/// that the record has them in their true order.
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

  /// Does it, and writes it down.
  template <class Call>
  auto Record(Operation operation, Call call) REQUIRES(mutex_);
  /// Does it, unless it is swallowed, and writes down what `path` was before: what comes while it
  /// runs need not be on the disk after it.
  template <class Call>
  Result<> RecordSync(std::string kind, std::string_view method, const std::string& path, Call call)
      REQUIRES(mutex_);
  bool IsSwallowed(std::string_view method, const std::string& path) const REQUIRES(mutex_);

  Filesystem& wrapped_;
  const std::filesystem::path record_;
  Mutex mutex_;
  OperationJournal journal_ GUARDED_BY(mutex_);
  std::vector<Swallowed> swallowed_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::io
