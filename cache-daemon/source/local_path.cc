#include "cache-daemon/source/local_path.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/local_file.h"
#include "cache-daemon/source/object_listing.h"
#include "cache-daemon/source/sha256sums.h"

namespace weighhouse::source {
namespace {

constexpr std::string_view kScheme = "file://";
/// Deeper trees than any model's.
constexpr int kMaxTreeDepth = 64;

Result<std::string> RealPath(const std::string& path) {
  std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  if (!real) return FailErrno(errno, Printable(path));
  return std::string(real.get());
}

bool IsBelow(std::string_view path, std::string_view root) {
  if (root == "/" || path == root) return true;
  return path.size() > root.size() && path.starts_with(root) && path[root.size()] == '/';
}

bool IsLeftOut(const std::string& name) { return name == ".cache" || name.starts_with(".git"); }

Result<ListedFile> Describe(const std::string& real_path, std::string listed_path) {
  struct stat info = {};
  if (lstat(real_path.c_str(), &info) != 0) return FailErrno(errno, Printable(real_path));
  if (!S_ISREG(info.st_mode)) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("{} is neither a file nor a directory: remove it", Printable(real_path)));
  }
  auto changed = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  return ListedFile{
      .path = std::move(listed_path),
      .size = static_cast<Bytes>(info.st_size),
      .identity = {FileIdentity::Kind::kVersionToken,
                   fmt::format("mtime {} size {} inode {}", changed, info.st_size, info.st_ino)}};
}

std::unexpected<Error> LeadsOut(const std::string& path, const std::string& root) {
  return Fail(Code::kInvalidArgument,
              fmt::format("{} leads out of {}: refused; copy the file or remove the link",
                          Printable(path), Printable(root)));
}

/// Lists a directory and all below it.
class Walk {
 public:
  Walk(std::string root, std::stop_token stop) : root_(std::move(root)), stop_(std::move(stop)) {}

  /// `directory` is a real path; `prefix` is what its entries' listed paths begin with, "" or
  /// ending in '/'.
  Result<> List(const std::string& directory, const std::string& prefix, int depth);
  std::vector<ListedFile> TakeFiles() { return std::move(files_); }

 private:
  Result<> Visit(const std::filesystem::directory_entry& entry, const std::string& prefix,
                 int depth);

  const std::string root_;
  const std::stop_token stop_;
  std::vector<ListedFile> files_;
};

Result<> Walk::List(const std::string& directory, const std::string& prefix, int depth) {
  if (depth > kMaxTreeDepth) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} is over {} directories deep: does a link loop?",
                            Printable(directory), kMaxTreeDepth));
  }
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  for (; !error && entries != std::filesystem::end(entries); entries.increment(error)) {
    TRY(Visit(*entries, prefix, depth));
  }
  if (error) return FailErrno(error.value(), fmt::format("list {}", Printable(directory)));
  return {};
}

Result<> Walk::Visit(const std::filesystem::directory_entry& entry, const std::string& prefix,
                     int depth) {
  std::string name = entry.path().filename().string();
  if (IsLeftOut(name)) return {};
  if (stop_.stop_requested()) return Fail(Code::kCancelled, "stopped");
  if (files_.size() >= kMaxFiles) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} holds over {} files", Printable(root_), kMaxFiles));
  }
  std::string real = TRY(RealPath(entry.path().string()));
  if (!IsBelow(real, root_)) return LeadsOut(entry.path().string(), root_);
  std::error_code error;
  if (std::filesystem::is_directory(real, error)) return List(real, prefix + name + "/", depth + 1);
  ListedFile file = TRY(Describe(real, prefix + name));
  files_.push_back(std::move(file));
  return {};
}

using Sums = std::map<std::string, Digest>;  // by path

/// What the SHA256SUMS in the directory `directory` says; nothing if there is none. It is a real
/// path below `root`.
Result<std::optional<Sums>> ReadSums(const std::string& directory, const std::string& root) {
  Result<std::string> path = RealPath(fmt::format("{}/{}", directory, kSha256Sums));
  if (!path && path.error().code == Code::kNotFound) return std::nullopt;
  if (!path) return std::unexpected(std::move(path).error());
  if (!IsBelow(*path, root)) return LeadsOut(fmt::format("{}/{}", directory, kSha256Sums), root);
  std::string text = TRY(ReadLocalFile(*path, kMaxSha256SumsBytes));
  Result<Sums> sums = ParseSha256Sums(text);
  if (!sums) return std::unexpected(std::move(sums).error().Within(Printable(*path)));
  sums->erase(std::string(kSha256Sums));  // whatever it says of itself isn't so
  return *std::move(sums);
}

/// Whether the walk leaves out `path`, or something above it.
bool IsPathLeftOut(const std::string& path) {
  return std::ranges::any_of(SplitAndTrim(path, '/'), IsLeftOut);
}

}  // namespace

LocalPath::LocalPath(std::vector<std::string> roots) : roots_(std::move(roots)) {}

Result<Listing> LocalPath::Resolve(const ModelReference& reference, const Credentials&,
                                   std::stop_token stop) {
  Place place = TRY(Find(reference));
  Listing listing{.origin = std::string(kScheme) + place.path, .anonymous = true};
  std::error_code error;
  if (std::filesystem::is_directory(place.path, error)) {
    Walk walk(place.root, std::move(stop));
    TRY(walk.List(place.path, "", 0));
    listing.files = walk.TakeFiles();
    std::optional<Sums> sums = TRY(ReadSums(place.path, place.root));
    if (sums) {
      // The list itself is no part of the model.
      std::erase_if(listing.files, [](const ListedFile& file) { return file.path == kSha256Sums; });
      TRY(ApplySha256Sums(*sums, listing.files, IsPathLeftOut));
    }
  } else {
    ListedFile file = TRY(DescribeOne(place, std::filesystem::path(reference.uri).filename()));
    listing.files.push_back(std::move(file));
  }
  std::ranges::sort(listing.files);
  TRY(CheckListing(listing));
  listing.revision = RevisionOf(listing.files);
  return listing;
}

Result<FileLocation> LocalPath::Locate(const ModelReference& reference, const Listing&,
                                       const ListedFile& file, const Credentials&,
                                       std::stop_token) {
  TRY(CheckPath(file.path));
  Place place = TRY(Find(reference));
  std::error_code error;
  bool directory = std::filesystem::is_directory(place.path, error);
  std::string path = TRY(RealPath(directory ? place.path + "/" + file.path : place.path));
  if (!IsBelow(path, place.root)) {
    return Fail(Code::kOutOfRange,
                fmt::format("{} now leads out of {}", Printable(file.path), Printable(place.root)));
  }
  ListedFile found = TRY(Describe(path, file.path));
  // Of one with a digest, the digest says whether it is the same.
  if (file.identity.kind == FileIdentity::Kind::kSha256) found.identity = file.identity;
  if (found != file) {
    return Fail(Code::kOutOfRange, fmt::format("{} changed since it was listed", Printable(path)));
  }
  return FileLocation{.url = std::string(kScheme) + path};
}

Result<ListedFile> LocalPath::DescribeOne(const Place& place, const std::string& name) {
  ListedFile file = TRY(Describe(place.path, name));
  std::filesystem::path path(place.path);
  std::string directory = path.parent_path();
  if (!IsBelow(directory, place.root)) return file;  // the file alone is a root
  std::optional<Sums> sums = TRY(ReadSums(directory, place.root));
  if (!sums) return file;
  auto sum = sums->find(path.filename());
  if (sum != sums->end()) file.identity = {FileIdentity::Kind::kSha256, sum->second.Hex()};
  return file;
}

Result<LocalPath::Place> LocalPath::Find(const ModelReference& reference) const {
  std::string asked = reference.uri.substr(std::min(kScheme.size(), reference.uri.size()));
  auto refused = [&] {
    return Fail(
        Code::kPermissionDenied,
        fmt::format("file://{} lies below none of the allowed directories: an admin names them in "
                    "sources.local.roots",
                    Printable(asked)));
  };
  // What lies outside is refused before it is looked at: whether it exists is nobody's business.
  bool any =
      std::ranges::any_of(roots_, [&](const std::string& root) { return IsBelow(asked, root); });
  if (!any) return refused();
  std::string path = TRY(RealPath(asked));
  for (const std::string& root : roots_) {
    Result<std::string> real_root = RealPath(root);
    if (real_root && IsBelow(path, *real_root)) return Place{path, *real_root};
  }
  return refused();
}

}  // namespace weighhouse::source
