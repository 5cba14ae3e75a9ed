#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/io/filesystem.h"

namespace weighhouse::io {

/// Which operations of a FaultFilesystem fail, and how.
struct Fault {
  static constexpr int kForever = -1;

  std::string operation;  ///< the method's name, such as "Rename"; empty: any
  std::string path;       ///< a part of the path, or of either path of Rename and Link; empty: any
  int at = 1;  ///< the first matching operation that fails, counted from 1 since the fault was set
  int times = 1;  ///< how many in a row fail, or kForever (the disk died, or the process's crash)
  int error_number = 0;  ///< errno of the failure
};

/// A disk that fails when told: hands every operation to another filesystem, counts it, and fails
/// those that a fault matches without having touched the disk. Thread-safe. `wrapped` must outlive
/// it.
class FaultFilesystem final : public Filesystem {
 public:
  explicit FaultFilesystem(Filesystem& wrapped) : wrapped_(wrapped) {}

  void FailAt(Fault fault) EXCLUDES(mutex_);
  void ClearFaults() EXCLUDES(mutex_);
  /// Runs `action` once, right before the first such operation; names as in Fault.
  void Before(std::string operation, std::string path, std::function<void()> action)
      EXCLUDES(mutex_);
  /// How many operations of that name (empty: any) were asked for on paths with `path` in them,
  /// failed ones included.
  int Count(std::string_view operation = "", std::string_view path = "") const EXCLUDES(mutex_);
  /// "Rename /a/b /a/c", in the order of the calls.
  std::vector<std::string> Calls() const EXCLUDES(mutex_);

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
  struct Call {
    std::string operation;
    std::string paths;
  };
  struct ArmedFault {
    Fault fault;
    int matched = 0;
  };

  struct Action {
    std::string operation;
    std::string path;
    std::function<void()> run;
  };

  /// Counts the operation; its failure if a fault says so.
  Result<> Pass(std::string_view operation, std::string paths) EXCLUDES(mutex_);

  Filesystem& wrapped_;
  mutable Mutex mutex_;
  std::vector<Call> calls_ GUARDED_BY(mutex_);
  std::vector<ArmedFault> faults_ GUARDED_BY(mutex_);
  std::vector<Action> actions_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::io
