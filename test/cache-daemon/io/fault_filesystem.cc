#include "test/cache-daemon/io/fault_filesystem.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace weighhouse::io {
namespace {

bool Matches(std::string_view wanted_operation, std::string_view wanted_path,
             std::string_view operation, std::string_view paths) {
  return (wanted_operation.empty() || wanted_operation == operation) && paths.contains(wanted_path);
}

}  // namespace

void FaultFilesystem::FailAt(Fault fault) {
  CHECK(fault.error_number != 0 && fault.at > 0);
  MutexLock lock(mutex_);
  faults_.push_back({.fault = std::move(fault)});
}

void FaultFilesystem::ClearFaults() {
  MutexLock lock(mutex_);
  faults_.clear();
}

void FaultFilesystem::Before(std::string operation, std::string path,
                             std::function<void()> action) {
  MutexLock lock(mutex_);
  actions_.push_back({std::move(operation), std::move(path), std::move(action)});
}

int FaultFilesystem::Count(std::string_view operation, std::string_view path) const {
  MutexLock lock(mutex_);
  return static_cast<int>(std::ranges::count_if(calls_, [&](const Call& call) {
    return Matches(operation, path, call.operation, call.paths);
  }));
}

std::vector<std::string> FaultFilesystem::Calls() const {
  MutexLock lock(mutex_);
  std::vector<std::string> calls;
  for (const Call& call : calls_) {
    calls.push_back(fmt::format("{} {}", call.operation, call.paths));
  }
  return calls;
}

Result<> FaultFilesystem::Pass(std::string_view operation, std::string paths) {
  int error_number = 0;
  std::function<void()> action;
  {
    MutexLock lock(mutex_);
    auto found = std::ranges::find_if(actions_, [&](const Action& one) {
      return Matches(one.operation, one.path, operation, paths);
    });
    if (found != actions_.end()) {
      action = std::move(found->run);
      actions_.erase(found);
    }
    calls_.push_back({.operation = std::string(operation), .paths = paths});
    for (ArmedFault& armed : faults_) {
      const Fault& fault = armed.fault;
      if (!Matches(fault.operation, fault.path, operation, paths)) continue;
      int passed = ++armed.matched - fault.at;
      bool strikes = passed >= 0 && (fault.times == Fault::kForever || passed < fault.times);
      if (strikes && error_number == 0) error_number = fault.error_number;
    }
  }
  if (action) action();
  if (error_number == 0) return {};
  std::string what = fmt::format("{} {}", operation, paths);
  // As PosixFilesystem says it.
  if (error_number == EMLINK && operation == "Link") {
    return Fail(Code::kOutOfRange, fmt::format("{}: Too many links", what));
  }
  return FailErrno(error_number, what);
}

Result<OpenedFile> FaultFilesystem::CreateFile(const std::string& path, IoMode mode) {
  TRY(Pass("CreateFile", path));
  return wrapped_.CreateFile(path, mode);
}

Result<OpenedFile> FaultFilesystem::OpenForRead(const std::string& path, IoMode mode) {
  TRY(Pass("OpenForRead", path));
  return wrapped_.OpenForRead(path, mode);
}

Result<OpenedFile> FaultFilesystem::OpenForWrite(const std::string& path, IoMode mode) {
  TRY(Pass("OpenForWrite", path));
  return wrapped_.OpenForWrite(path, mode);
}

Result<> FaultFilesystem::Allocate(int fd, Bytes size, const std::string& path) {
  TRY(Pass("Allocate", path));
  return wrapped_.Allocate(fd, size, path);
}

Result<> FaultFilesystem::Truncate(int fd, Bytes size, const std::string& path) {
  TRY(Pass("Truncate", path));
  return wrapped_.Truncate(fd, size, path);
}

Result<> FaultFilesystem::ChangeMode(int fd, unsigned mode, const std::string& path) {
  TRY(Pass("ChangeMode", path));
  return wrapped_.ChangeMode(fd, mode, path);
}

Result<> FaultFilesystem::SyncData(int fd, const std::string& path) {
  TRY(Pass("SyncData", path));
  return wrapped_.SyncData(fd, path);
}

Result<std::string> FaultFilesystem::ReadFile(const std::string& path, Bytes limit) {
  TRY(Pass("ReadFile", path));
  return wrapped_.ReadFile(path, limit);
}

Result<> FaultFilesystem::WriteFile(const std::string& path, std::string_view content) {
  TRY(Pass("WriteFile", path));
  return wrapped_.WriteFile(path, content);
}

Result<> FaultFilesystem::AppendAndSync(const std::string& path, std::string_view content) {
  TRY(Pass("AppendAndSync", path));
  return wrapped_.AppendAndSync(path, content);
}

Result<> FaultFilesystem::MakeDirectory(const std::string& path) {
  TRY(Pass("MakeDirectory", path));
  return wrapped_.MakeDirectory(path);
}

Result<> FaultFilesystem::Rename(const std::string& from, const std::string& to, Replace replace) {
  TRY(Pass("Rename", fmt::format("{} {}", from, to)));
  return wrapped_.Rename(from, to, replace);
}

Result<> FaultFilesystem::Link(const std::string& existing, const std::string& name) {
  TRY(Pass("Link", fmt::format("{} {}", existing, name)));
  return wrapped_.Link(existing, name);
}

Result<> FaultFilesystem::Unlink(const std::string& path) {
  TRY(Pass("Unlink", path));
  return wrapped_.Unlink(path);
}

Result<> FaultFilesystem::RemoveDirectory(const std::string& path) {
  TRY(Pass("RemoveDirectory", path));
  return wrapped_.RemoveDirectory(path);
}

Result<> FaultFilesystem::SyncDirectory(const std::string& path) {
  TRY(Pass("SyncDirectory", path));
  return wrapped_.SyncDirectory(path);
}

Result<> FaultFilesystem::SyncFile(const std::string& path) {
  TRY(Pass("SyncFile", path));
  return wrapped_.SyncFile(path);
}

Result<std::vector<DirectoryEntry>> FaultFilesystem::List(const std::string& path) {
  TRY(Pass("List", path));
  return wrapped_.List(path);
}

Result<FileStatus> FaultFilesystem::Status(const std::string& path) {
  TRY(Pass("Status", path));
  return wrapped_.Status(path);
}

Result<> FaultFilesystem::SetModified(const std::string& path,
                                      std::chrono::system_clock::time_point time) {
  TRY(Pass("SetModified", path));
  return wrapped_.SetModified(path, time);
}

Result<Space> FaultFilesystem::SpaceOf(const std::string& path) {
  TRY(Pass("SpaceOf", path));
  return wrapped_.SpaceOf(path);
}

}  // namespace weighhouse::io
