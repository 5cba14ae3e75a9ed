#include "cache-daemon/store/root.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"

namespace weighhouse::store {
namespace {

constexpr std::string_view kProbe = ".probe";
constexpr std::string_view kProbeLink = ".probe-link";
constexpr Bytes kMaxFormatSize = 4096;

bool IsUnfinishedFormat(std::string_view name) {
  return name.starts_with("format.") && name.ends_with(io::kBesideSuffix);
}

/// What a root may hold before it has a format: what a first start that was killed leaves, and what
/// mke2fs makes.
bool IsHarmless(std::string_view name) {
  return name == "lock" || name == kProbe || name == kProbeLink || name == "lost+found" ||
         IsUnfinishedFormat(name);
}

std::string NotWritable(const std::string& root, const std::string& why) {
  return fmt::format(
      "cache root {} is not writable for uid {}: {}: give the directory to that user "
      "(chown {} {}) or choose another root",
      root, ::geteuid(), why, ::geteuid(), root);
}

/// What stopped us at `root`: rights, which the reader can give, or the disk itself.
std::unexpected<Error> FailNotWritable(const std::string& root, const Error& cause) {
  if (cause.code == Code::kFailedPrecondition) {
    return Fail(cause.code, NotWritable(root, cause.message));
  }
  std::string_view way_out = cause.code == Code::kResourceExhausted ? ": free some space" : "";
  return Fail(cause.code, fmt::format("cache root {}: {}{}", root, cause.message, way_out));
}

/// So that a power cut doesn't take the root with all that will be in it.
Result<> SyncNameOf(io::Filesystem& filesystem, const std::string& root) {
  std::string parent = ParentOf(root);
  auto synced = filesystem.SyncDirectory(parent.empty() ? "/" : parent);
  // Making a directory in it takes other rights than opening it.
  if (!synced.has_value() && synced.error().code == Code::kFailedPrecondition) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: the new cache root may not outlive a power cut: {}",
                            synced.error().message));
    return {};
  }
  return synced;
}

Result<> EnsureRootDirectory(io::Filesystem& filesystem, const std::string& root) {
  auto status = filesystem.Status(root);
  if (!status.has_value() && status.error().code == Code::kNotFound) {
    auto made = filesystem.MakeDirectory(root);
    if (made.has_value()) return SyncNameOf(filesystem, root);
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("cache root {} does not exist and can't be made: {}: create it and give it "
                    "to uid {}",
                    root, made.error().message, ::geteuid()));
  }
  if (!status.has_value()) return FailNotWritable(root, status.error());
  if (status->kind == io::EntryKind::kDirectory) return {};
  return Fail(
      Code::kFailedPrecondition,
      fmt::format("cache root {} is not a directory: give the path of one (a symbolic link is "
                  "not followed)",
                  root));
}

/// True if the root has a format already; fails if it holds something else than a root's
/// beginnings.
Result<bool> HasFormat(io::Filesystem& filesystem, const std::string& root) {
  auto entries = filesystem.List(root);
  if (!entries.has_value()) return FailNotWritable(root, entries.error());
  std::string foreign;
  for (const io::DirectoryEntry& entry : *entries) {
    if (entry.name == "format") return true;
    if (!IsHarmless(entry.name)) foreign = entry.name;
  }
  if (foreign.empty()) return false;
  return Fail(
      Code::kFailedPrecondition,
      fmt::format("cache root {} holds '{}' but no file 'format', so it is not a cache: give an "
                  "empty directory",
                  root, Printable(foreign)));
}

Result<std::string> NewRootId() {
  std::array<uint8_t, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return FailErrno(errno, "getrandom");
  }
  return HexEncode(bytes);
}

/// Gives a new root its format and id, and removes what a killed first start left of them.
Result<std::string> WriteFormat(io::Filesystem& filesystem, const RootLayout& layout) {
  std::vector<io::DirectoryEntry> entries = TRY(filesystem.List(layout.root()));
  for (const io::DirectoryEntry& entry : entries) {
    if (IsUnfinishedFormat(entry.name)) {
      TRY(io::RemoveTree(filesystem, layout.Absolute(entry.name)));
    }
  }
  std::string id = TRY(NewRootId());
  auto written = io::ReplaceFileDurably(filesystem, layout.FormatFile(),
                                        fmt::format("{}\n{}\n", RootLayout::kFormat, id));
  if (!written.has_value()) return FailNotWritable(layout.root(), written.error());
  return id;
}

Result<std::string> ReadFormat(io::Filesystem& filesystem, const RootLayout& layout) {
  std::string text = TRY(filesystem.ReadFile(layout.FormatFile(), kMaxFormatSize));
  size_t line = text.find('\n');
  std::string_view version = Trim(std::string_view(text).substr(0, line));
  if (version != RootLayout::kFormat) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("cache root {} has format '{}', and this program knows {} only: use the "
                    "program that made it, or another root",
                    layout.root(), Printable(version, 40), RootLayout::kFormat));
  }
  std::string_view rest = line == std::string::npos ? "" : std::string_view(text).substr(line + 1);
  std::string_view id = Trim(rest);
  if (!IsHex(id, 32)) {
    return Fail(
        Code::kFailedPrecondition,
        fmt::format("{}: the second line must be the root's id (32 hexadecimal digits), found "
                    "'{}': restore the file, or empty the root",
                    layout.FormatFile(), Printable(id, 40)));
  }
  return std::string(id);
}

/// The id of the root; nothing if it has no format yet.
Result<std::optional<std::string>> FindId(io::Filesystem& filesystem, const RootLayout& layout) {
  bool formatted = TRY(HasFormat(filesystem, layout.root()));
  if (!formatted) return std::nullopt;
  return ReadFormat(filesystem, layout);
}

/// Makes one hard link: trees consist of them.
Result<> TryHardLink(io::Filesystem& filesystem, const RootLayout& layout) {
  std::string file = layout.Absolute(kProbe);
  std::string link = layout.Absolute(kProbeLink);
  TRY(io::RemoveTree(filesystem, link));
  auto written = filesystem.WriteFile(file, "");
  if (!written.has_value()) return FailNotWritable(layout.root(), written.error());
  auto linked = filesystem.Link(file, link);
  TRY(io::RemoveTree(filesystem, link));
  TRY(io::RemoveTree(filesystem, file));
  if (linked.has_value()) return {};
  return Fail(
      Code::kFailedPrecondition,
      fmt::format("cache root {} lies on a filesystem without hard links ({}): use ext4 or xfs",
                  layout.root(), linked.error().message));
}

Result<> EnsureDirectory(io::Filesystem& filesystem, const std::string& path) {
  auto made = filesystem.MakeDirectory(path);
  if (made.has_value() || made.error().code == Code::kAlreadyExists) return {};
  return std::unexpected(std::move(made).error());
}

Result<> EnsureDirectories(io::Filesystem& filesystem, const RootLayout& layout) {
  const std::array parents = {layout.Absolute("blobs"), layout.Absolute("trees")};
  for (const std::string& path : parents) TRY(EnsureDirectory(filesystem, path));
  const std::array directories = {layout.BlobsDirectory(),
                                  layout.IngestsDirectory(),
                                  layout.SnapshotsDirectory(),
                                  layout.ReferencesDirectory(),
                                  layout.LayersDirectory(),
                                  layout.Absolute(RootLayout::kFilesTrees),
                                  layout.Absolute(RootLayout::kHubTrees),
                                  layout.LeasesDirectory(),
                                  layout.HoldsDirectory(),
                                  layout.VolumesDirectory(),
                                  layout.GrantsDirectory(),
                                  layout.QuarantineDirectory()};
  for (const std::string& path : directories) TRY(EnsureDirectory(filesystem, path));
  for (const std::string& path : parents) TRY(filesystem.SyncDirectory(path));
  return filesystem.SyncDirectory(layout.root());
}

}  // namespace

Result<PreparedRoot> PrepareRoot(io::Filesystem& filesystem, const RootLayout& layout) {
  if (!layout.root().starts_with('/')) {
    return Fail(Code::kInvalidArgument,
                fmt::format("cache root '{}' is not an absolute path", layout.root()));
  }
  TRY(EnsureRootDirectory(filesystem, layout.root()));
  // An unknown format is reported before anything in the root is touched, the lock included.
  TRY(FindId(filesystem, layout));
  auto lock = RootLock::Take(layout.LockFile(), layout.root());
  if (!lock.has_value()) {
    if (lock.error().code != Code::kUnavailable)
      return FailNotWritable(layout.root(), lock.error());
    // Waiting doesn't help: a daemon's root has one owner for as long as that lives.
    return Fail(Code::kFailedPrecondition, lock.error().message);
  }
  // Again: until now another may have had the lock.
  std::optional<std::string> id = TRY(FindId(filesystem, layout));
  TRY(TryHardLink(filesystem, layout));
  if (!id) id = TRY(WriteFormat(filesystem, layout));
  auto made = EnsureDirectories(filesystem, layout);
  if (!made.has_value()) return FailNotWritable(layout.root(), made.error());
  return PreparedRoot{.lock = std::move(*lock), .id = *std::move(id)};
}

}  // namespace weighhouse::store
