#include "test/cache-daemon/io/power_loss_filesystem.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include <fmt/format.h>

#include "test/cache-daemon/io/durable_disk.h"

namespace weighhouse::io {

namespace fs = std::filesystem;

PowerLossFilesystem::PowerLossFilesystem(Filesystem& wrapped, fs::path record)
    : wrapped_(wrapped), record_(std::move(record)) {
  fs::create_directories(record_);
  MutexLock lock(mutex_);
  fs::path journal = record_ / DurableDisk::kJournal;
  journal_ = UniqueFd(::open(journal.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  CHECK(journal_);
}

void PowerLossFilesystem::SwallowSyncs(std::string method, std::string paths) {
  MutexLock lock(mutex_);
  swallowed_.push_back({.method = std::move(method), .paths = std::move(paths)});
}

bool PowerLossFilesystem::IsSwallowed(std::string_view method, const std::string& path) const {
  return std::ranges::any_of(swallowed_, [&](const Swallowed& swallowed) {
    return method == swallowed.method && ::fnmatch(swallowed.paths.c_str(), path.c_str(), 0) == 0;
  });
}

void PowerLossFilesystem::Record(std::string_view operation, const std::string& first,
                                 const std::string& second) {
  std::string line = fmt::format("{}\t{}\t{}\n", operation, first, second);
  CHECK(::write(journal_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

void PowerLossFilesystem::RecordSynced(std::string_view operation, const std::string& path) {
  static std::atomic<uint64_t> copies = 0;  // two recorders may share a directory
  fs::path copy = record_ / fmt::format("{}-{}", ::getpid(), copies.fetch_add(1));
  fs::copy_file(path, copy);
  fs::last_write_time(copy, fs::last_write_time(path));
  Record(operation, path, copy);
}

Result<OpenedFile> PowerLossFilesystem::CreateFile(const std::string& path, IoMode mode) {
  MutexLock lock(mutex_);
  OpenedFile file = TRY(wrapped_.CreateFile(path, mode));
  Record("create", path, "600");
  return file;
}

Result<OpenedFile> PowerLossFilesystem::OpenForRead(const std::string& path, IoMode mode) {
  return wrapped_.OpenForRead(path, mode);
}

Result<OpenedFile> PowerLossFilesystem::OpenForWrite(const std::string& path, IoMode mode) {
  return wrapped_.OpenForWrite(path, mode);
}

Result<> PowerLossFilesystem::Allocate(int fd, Bytes size, const std::string& path) {
  return wrapped_.Allocate(fd, size, path);
}

Result<> PowerLossFilesystem::Truncate(int fd, Bytes size, const std::string& path) {
  return wrapped_.Truncate(fd, size, path);
}

Result<> PowerLossFilesystem::ChangeMode(int fd, unsigned mode, const std::string& path) {
  MutexLock lock(mutex_);
  TRY(wrapped_.ChangeMode(fd, mode, path));
  Record("chmod", path, fmt::format("{:o}", mode));
  return {};
}

Result<> PowerLossFilesystem::SyncData(int fd, const std::string& path) {
  MutexLock lock(mutex_);
  if (IsSwallowed("SyncData", path)) return {};
  TRY(wrapped_.SyncData(fd, path));
  RecordSynced("fdatasync", path);
  return {};
}

Result<std::string> PowerLossFilesystem::ReadFile(const std::string& path, Bytes limit) {
  return wrapped_.ReadFile(path, limit);
}

Result<> PowerLossFilesystem::WriteFile(const std::string& path, std::string_view content) {
  MutexLock lock(mutex_);
  TRY(wrapped_.WriteFile(path, content));
  Record("write", path, "644");
  return {};
}

Result<> PowerLossFilesystem::AppendAndSync(const std::string& path, std::string_view content) {
  MutexLock lock(mutex_);
  TRY(wrapped_.AppendAndSync(path, content));
  Record("append", path, "644");
  if (!IsSwallowed("AppendAndSync", path)) RecordSynced("fdatasync", path);
  return {};
}

Result<> PowerLossFilesystem::MakeDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  TRY(wrapped_.MakeDirectory(path));
  Record("mkdir", path);
  return {};
}

Result<> PowerLossFilesystem::Rename(const std::string& from, const std::string& to,
                                     Replace replace) {
  MutexLock lock(mutex_);
  TRY(wrapped_.Rename(from, to, replace));
  Record("rename", from, to);
  return {};
}

Result<> PowerLossFilesystem::Link(const std::string& existing, const std::string& name) {
  MutexLock lock(mutex_);
  TRY(wrapped_.Link(existing, name));
  Record("link", existing, name);
  return {};
}

Result<> PowerLossFilesystem::Unlink(const std::string& path) {
  MutexLock lock(mutex_);
  TRY(wrapped_.Unlink(path));
  Record("remove", path);
  return {};
}

Result<> PowerLossFilesystem::RemoveDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  TRY(wrapped_.RemoveDirectory(path));
  Record("remove", path);
  return {};
}

Result<> PowerLossFilesystem::SyncDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  if (IsSwallowed("SyncDirectory", path)) return {};
  TRY(wrapped_.SyncDirectory(path));
  Record("syncdirectory", path);
  return {};
}

Result<> PowerLossFilesystem::SyncFile(const std::string& path) {
  MutexLock lock(mutex_);
  if (IsSwallowed("SyncFile", path)) return {};
  TRY(wrapped_.SyncFile(path));
  RecordSynced("fsync", path);
  return {};
}

Result<std::vector<DirectoryEntry>> PowerLossFilesystem::List(const std::string& path) {
  return wrapped_.List(path);
}

Result<FileStatus> PowerLossFilesystem::Status(const std::string& path) {
  return wrapped_.Status(path);
}

Result<> PowerLossFilesystem::SetModified(const std::string& path,
                                          std::chrono::system_clock::time_point time) {
  return wrapped_.SetModified(path, time);
}

Result<Space> PowerLossFilesystem::SpaceOf(const std::string& path) {
  return wrapped_.SpaceOf(path);
}

}  // namespace weighhouse::io
