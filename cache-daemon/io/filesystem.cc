#include "cache-daemon/io/filesystem.h"

#include <atomic>
#include <utility>

#include <fmt/format.h>

namespace weighhouse::io {
namespace {

/// A removal whose object is gone already has done its work.
Result<> FineIfMissing(Result<> removed) {
  if (!removed && removed.error().code == Code::kNotFound) return {};
  return removed;
}

Result<> MakeWritable(Filesystem& filesystem, const std::string& directory) {
  OpenedFile opened = TRY(filesystem.OpenForRead(directory, IoMode::kBuffered));
  return filesystem.ChangeMode(opened.fd.get(), 0755, directory);
}

/// Removes one name from `parent`: a file's or an empty directory's. Being denied can mean that
/// `parent` is read-only (a copy made by hand), so that is mended and the removal tried once more.
Result<> RemoveName(Filesystem& filesystem, const std::string& parent, const std::string& path,
                    EntryKind kind) {
  auto remove = [&] {
    return FineIfMissing(kind == EntryKind::kDirectory ? filesystem.RemoveDirectory(path)
                                                       : filesystem.Unlink(path));
  };
  Result<> removed = remove();
  if (removed || removed.error().code != Code::kFailedPrecondition) return removed;
  TRY(MakeWritable(filesystem, parent));
  return remove();
}

Result<> RemoveContents(Filesystem& filesystem, const std::string& directory) {
  Result<std::vector<DirectoryEntry>> entries = filesystem.List(directory);
  if (!entries && entries.error().code == Code::kNotFound) return {};
  if (!entries) return std::unexpected(std::move(entries).error());
  for (const DirectoryEntry& entry : *entries) {
    std::string path = fmt::format("{}/{}", directory, entry.name);
    if (entry.kind == EntryKind::kDirectory) TRY(RemoveContents(filesystem, path));
    TRY(RemoveName(filesystem, directory, path, entry.kind));
  }
  return {};
}

Result<> WriteBeside(Filesystem& filesystem, const std::string& beside, const std::string& path,
                     std::string_view content) {
  TRY(filesystem.WriteFile(beside, content));
  TRY(filesystem.SyncFile(beside));
  return filesystem.Rename(beside, path, Replace::kAllowed);
}

}  // namespace

Result<> RemoveTree(Filesystem& filesystem, const std::string& path) {
  Result<FileStatus> status = filesystem.Status(path);
  if (!status && status.error().code == Code::kNotFound) return {};
  if (!status) return std::unexpected(std::move(status).error());
  if (status->kind != EntryKind::kDirectory) return FineIfMissing(filesystem.Unlink(path));
  TRY(RemoveContents(filesystem, path));
  return FineIfMissing(filesystem.RemoveDirectory(path));
}

Result<> ReplaceFileDurably(Filesystem& filesystem, const std::string& path,
                            std::string_view content) {
  static std::atomic<uint64_t> replacements = 0;  // two threads must never write to one name
  std::string beside = fmt::format("{}.{}{}", path, replacements.fetch_add(1), kBesideSuffix);
  Result<> written = WriteBeside(filesystem, beside, path, content);
  if (!written) {
    Result<> removed = filesystem.Unlink(beside);  // recovery removes it if this can't
    static_cast<void>(removed);
    return written;
  }
  size_t slash = path.rfind('/');
  return filesystem.SyncDirectory(slash == 0 ? "/" : path.substr(0, slash));
}

}  // namespace weighhouse::io
