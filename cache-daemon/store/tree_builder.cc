#include "cache-daemon/store/tree_builder.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/blob_index.h"

namespace weighhouse::store {
namespace {

constexpr unsigned kReadOnlyMode = 0444;
constexpr size_t kCopyPiece = size_t{1} << 20;

/// Adds every directory that `file` lies in.
void AddParents(const std::string& file, std::set<std::string>& directories) {
  for (size_t slash = file.find('/'); slash != std::string::npos;
       slash = file.find('/', slash + 1)) {
    directories.insert(file.substr(0, slash));
  }
}

Result<> WriteAll(int fd, const char* data, size_t size, const std::string& path) {
  while (size > 0) {
    ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FailErrno(errno, "write " + path);
    data += written;
    size -= static_cast<size_t>(written);
  }
  return {};
}

/// A durable read-only copy of `from`; returns its size.
Result<Bytes> CopyFile(io::Filesystem& filesystem, const std::string& from, const std::string& to) {
  io::OpenedFile source = TRY(filesystem.OpenForRead(from, io::IoMode::kBuffered));
  io::OpenedFile target = TRY(filesystem.CreateFile(to, io::IoMode::kBuffered));
  std::vector<char> piece(kCopyPiece);
  Bytes copied = 0;
  while (true) {
    ssize_t size = ::read(source.fd.get(), piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FailErrno(errno, "read " + from);
    if (size == 0) break;
    TRY(WriteAll(target.fd.get(), piece.data(), static_cast<size_t>(size), to));
    copied += static_cast<Bytes>(size);
  }
  TRY(filesystem.ChangeMode(target.fd.get(), kReadOnlyMode, to));
  TRY(filesystem.SyncData(target.fd.get(), to));
  return copied;
}

/// Makes `name` a link to `blob`, or a copy where no link is left; returns the bytes copied.
Result<Bytes> LinkOrCopy(io::Filesystem& filesystem, const std::string& blob,
                         const std::string& name) {
  auto linked = filesystem.Link(blob, name);
  if (linked.has_value()) return 0;
  if (linked.error().code != Code::kOutOfRange) return std::unexpected(std::move(linked).error());
  Bytes copied = TRY(CopyFile(filesystem, blob, name));
  LogRepeated(
      LogLevel::kWarning,
      fmt::format("store: {} has as many links as its filesystem allows: copied {} into a tree",
                  blob, FormatBytes(copied)));
  return RoundUpToBlock(copied);
}

/// Fills the directory `top` as planned and makes all of it durable.
Result<Bytes> FillTree(io::Filesystem& filesystem, const RootLayout& layout, const TreePlan& plan,
                       const std::string& top) {
  Bytes copied = 0;
  for (const std::string& directory : plan.directories) {
    TRY(filesystem.MakeDirectory(fmt::format("{}/{}", top, directory)));
  }
  bool first = true;
  for (const auto& [name, sha256] : plan.links) {
    Bytes bytes = TRY(LinkOrCopy(filesystem, layout.Blob(sha256), fmt::format("{}/{}", top, name)));
    copied += bytes;
    if (std::exchange(first, false)) FaultPoint("tree.first_link");
  }
  for (const auto& [name, content] : plan.texts) {
    std::string file = fmt::format("{}/{}", top, name);
    TRY(filesystem.WriteFile(file, content));
    TRY(filesystem.SyncFile(file));
  }
  FaultPoint("tree.linked");
  for (auto directory = plan.directories.rbegin(); directory != plan.directories.rend();
       ++directory) {
    TRY(filesystem.SyncDirectory(fmt::format("{}/{}", top, *directory)));
  }
  TRY(filesystem.SyncDirectory(top));
  FaultPoint("tree.synced");
  return copied;
}

Result<Bytes> BuildInto(io::Filesystem& filesystem, const RootLayout& layout, const TreePlan& plan,
                        const std::string& unfinished, const std::string& finished) {
  // The name was free in the store's book, so what has it is left over from a failed build.
  TRY(io::RemoveTree(filesystem, unfinished));
  TRY(io::RemoveTree(filesystem, finished));
  TRY(filesystem.MakeDirectory(unfinished));
  FaultPoint("tree.begun");
  Bytes copied = TRY(FillTree(filesystem, layout, plan, unfinished));
  TRY(filesystem.Rename(unfinished, finished, io::Replace::kNever));
  FaultPoint("tree.renamed");
  auto synced = filesystem.SyncDirectory(ParentOf(finished));
  if (synced.has_value()) return copied;
  // Nobody knows the tree yet, so it may go without passing through the trash.
  TRY(filesystem.Rename(finished, unfinished, io::Replace::kNever));
  return std::unexpected(std::move(synced).error());
}

}  // namespace

std::string RefName(const std::string& requested_revision) {
  return IsCommitId(requested_revision) ? "" : requested_revision;
}

Result<TreePlan> PlanTree(const Snapshot& snapshot, Layout layout,
                          const std::string& requested_revision) {
  TreePlan plan;
  std::string prefix;
  if (layout == Layout::kHub) {
    if (snapshot.repository.empty()) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("layout hub needs a Hugging Face model, and {} is none: use layout files",
                      snapshot.origin));
    }
    std::string hub = RootLayout::HubDirectory(snapshot.repository);
    std::string ref = RefName(requested_revision);
    prefix = fmt::format("{}/snapshots/{}/", hub, snapshot.revision);
    bool names_fit = IsSafeRelativePath(hub) && !snapshot.revision.contains('/') &&
                     IsSafeRelativePath(snapshot.revision) &&
                     (ref.empty() || IsSafeRelativePath(ref));
    if (!names_fit) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("layout hub: '{}' at revision '{}' can't be named in a directory",
                              Printable(snapshot.repository), Printable(requested_revision)));
    }
    if (!ref.empty()) plan.texts.emplace(fmt::format("{}/refs/{}", hub, ref), snapshot.revision);
    AddParents(prefix, plan.directories);
  }
  for (const SnapshotFile& file : snapshot.files) {
    if (!file.blob) {
      return Fail(Code::kFailedPrecondition,
                  fmt::format("snapshot {} lacks {}", snapshot.id, file.listed.path));
    }
    plan.links.emplace(prefix + file.listed.path, *file.blob);
  }
  for (const auto& [name, sha256] : plan.links) AddParents(name, plan.directories);
  for (const auto& [name, content] : plan.texts) AddParents(name, plan.directories);
  return plan;
}

Result<Bytes> BuildTree(io::Filesystem& filesystem, const RootLayout& layout, const TreePlan& plan,
                        const std::string& path) {
  std::string finished = layout.Absolute(path);
  std::string unfinished = layout.Absolute(RootLayout::UnfinishedTree(path));
  auto built = BuildInto(filesystem, layout, plan, unfinished, finished);
  if (built.has_value()) return built;
  auto removed = io::RemoveTree(filesystem, unfinished);
  if (!removed.has_value()) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: a half-built tree stays until the next start: {}",
                            removed.error().message));
  }
  return built;
}

}  // namespace weighhouse::store
