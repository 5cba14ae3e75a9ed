#include "test/cache-daemon/io/power_loss_filesystem.h"

#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include <fmt/format.h>

namespace weighhouse::io {

namespace fs = std::filesystem;

namespace {

/// A name in `record` that no recorder has used.
fs::path NewCopy(const fs::path& record) {
  static std::atomic<uint64_t> copies = 0;
  return record / fmt::format("{}-{}", ::getpid(), copies.fetch_add(1));
}

}  // namespace

PowerLossFilesystem::PowerLossFilesystem(Filesystem& wrapped, fs::path record)
    : wrapped_(wrapped), record_(std::move(record)), journal_(record_) {}

void PowerLossFilesystem::SwallowSyncs(std::string method, std::string paths) {
  MutexLock lock(mutex_);
  swallowed_.push_back({.method = std::move(method), .paths = std::move(paths)});
}

bool PowerLossFilesystem::IsSwallowed(std::string_view method, const std::string& path) const {
  return std::ranges::any_of(swallowed_, [&](const Swallowed& swallowed) {
    return method == swallowed.method && ::fnmatch(swallowed.paths.c_str(), path.c_str(), 0) == 0;
  });
}

template <class Call>
auto PowerLossFilesystem::Record(Operation operation, Call call) {
  journal_.Begin(std::move(operation));
  auto result = call();
  journal_.End(result.has_value());
  return result;
}

template <class Call>
Result<> PowerLossFilesystem::RecordSync(std::string kind, std::string_view method,
                                         const std::string& path, Call call) {
  if (IsSwallowed(method, path)) return {};
  fs::path copy = NewCopy(record_);
  if (!fs::exists(path)) return call();  // which says so
  fs::copy_file(path, copy);
  fs::last_write_time(copy, fs::last_write_time(path));
  return Record({.kind = std::move(kind), .path = path, .argument = copy}, std::move(call));
}

Result<OpenedFile> PowerLossFilesystem::CreateFile(const std::string& path, IoMode mode) {
  MutexLock lock(mutex_);
  return Record({.kind = "create", .path = path, .argument = "600"},
                [&] { return wrapped_.CreateFile(path, mode); });
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
  return Record({.kind = "chmod", .path = path, .argument = fmt::format("{:o}", mode)},
                [&] { return wrapped_.ChangeMode(fd, mode, path); });
}

Result<> PowerLossFilesystem::SyncData(int fd, const std::string& path) {
  MutexLock lock(mutex_);
  return RecordSync("fdatasync", "SyncData", path, [&] { return wrapped_.SyncData(fd, path); });
}

Result<std::string> PowerLossFilesystem::ReadFile(const std::string& path, Bytes limit) {
  return wrapped_.ReadFile(path, limit);
}

Result<> PowerLossFilesystem::WriteFile(const std::string& path, std::string_view content) {
  MutexLock lock(mutex_);
  return Record({.kind = "write", .path = path, .argument = "644"},
                [&] { return wrapped_.WriteFile(path, content); });
}

Result<> PowerLossFilesystem::AppendAndSync(const std::string& path, std::string_view content) {
  MutexLock lock(mutex_);
  TRY(Record({.kind = "append", .path = path, .argument = "644"},
             [&] { return wrapped_.AppendAndSync(path, content); }));
  return RecordSync("fdatasync", "AppendAndSync", path, [] { return Result<>(); });
}

Result<> PowerLossFilesystem::MakeDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  return Record({.kind = "mkdir", .path = path, .argument = ""},
                [&] { return wrapped_.MakeDirectory(path); });
}

Result<> PowerLossFilesystem::Rename(const std::string& from, const std::string& to,
                                     Replace replace) {
  MutexLock lock(mutex_);
  return Record({.kind = "rename", .path = from, .argument = to},
                [&] { return wrapped_.Rename(from, to, replace); });
}

Result<> PowerLossFilesystem::Link(const std::string& existing, const std::string& name) {
  MutexLock lock(mutex_);
  return Record({.kind = "link", .path = existing, .argument = name},
                [&] { return wrapped_.Link(existing, name); });
}

Result<> PowerLossFilesystem::Unlink(const std::string& path) {
  MutexLock lock(mutex_);
  return Record({.kind = "remove", .path = path, .argument = ""},
                [&] { return wrapped_.Unlink(path); });
}

Result<> PowerLossFilesystem::RemoveDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  return Record({.kind = "remove", .path = path, .argument = ""},
                [&] { return wrapped_.RemoveDirectory(path); });
}

Result<> PowerLossFilesystem::SyncDirectory(const std::string& path) {
  MutexLock lock(mutex_);
  if (IsSwallowed("SyncDirectory", path)) return {};
  return Record({.kind = "syncdirectory", .path = path, .argument = ""},
                [&] { return wrapped_.SyncDirectory(path); });
}

Result<> PowerLossFilesystem::SyncFile(const std::string& path) {
  MutexLock lock(mutex_);
  return RecordSync("fsync", "SyncFile", path, [&] { return wrapped_.SyncFile(path); });
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
