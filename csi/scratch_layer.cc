#include "csi/scratch_layer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "csi/beneath.h"
#include "csi/mount_error.h"
#include "csi/new_filesystem.h"
#include "csi/scratch_memory.h"

namespace weighhouse::csi {
namespace {

constexpr size_t kMaxEntries = 200'000;
constexpr size_t kMaxDirectories = 1000;
constexpr size_t kMaxReferences = 64;
/// Of all directories and references together.
constexpr size_t kMaxPathBytes = 1 << 20;
constexpr size_t kMaxReferenceBytes = 4096;

/// The two filesystems of a volume.
constexpr Bytes kVolumeCost = 32 * kKiB;
/// An inode and its name.
constexpr Bytes kDirectoryCost = kKiB;
/// The same and a page.
constexpr Bytes kReferenceCost = 5 * kKiB;

/// True below `<repository>/refs/`.
bool IsReference(std::string_view path) {
  size_t slash = path.find('/');
  return slash != path.npos && path.substr(slash).starts_with("/refs/");
}

/// DT_DIR, DT_REG or another; some filesystems don't say it in the listing.
unsigned char TypeOf(int directory, const dirent& entry) {
  struct stat status{};
  if (entry.d_type != DT_UNKNOWN) return entry.d_type;
  if (fstatat(directory, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) return DT_UNKNOWN;
  return static_cast<unsigned char>(IFTODT(status.st_mode));
}

/// One walk over a tree.
class TreeReader {
 public:
  TreeReader(UniqueFd tree, TreeKind kind) : kind_(kind) { contents_.tree = std::move(tree); }

  Result<ScratchContents> Read() {
    TRY(List(""));
    for (size_t next = 0; next < contents_.directories.size(); ++next) {
      TRY(List(std::string(contents_.directories[next])));
    }
    return std::move(contents_);
  }

 private:
  Result<> List(const std::string& directory) {
    UniqueFd fd = TRY(OpenListingBeneath(contents_.tree.get(), directory.empty() ? "." : directory,
                                         MountCrossing::kRefused));
    std::unique_ptr<DIR, int (*)(DIR*)> listing(fdopendir(fd.get()), closedir);
    if (!listing) return FailErrno(errno, fmt::format("list {}", Printable(directory, 400)));
    int descriptor = fd.release();  // the listing's now
    errno = 0;
    while (const dirent* entry = readdir(listing.get())) {
      std::string_view name = entry->d_name;
      std::string path = fmt::format("{}{}{}", directory, directory.empty() ? "" : "/", name);
      if (name != "." && name != "..") {
        TRY(Add(std::move(path), TypeOf(descriptor, *entry)));
      }
      errno = 0;
    }
    if (errno != 0) return FailErrno(errno, fmt::format("list {}", Printable(directory, 400)));
    return {};
  }

  Result<> Add(std::string path, unsigned char type) {
    ++entries_;
    if (type == DT_DIR) {
      path_bytes_ += path.size();
      contents_.directories.push_back(std::move(path));
    } else if (type == DT_REG && kind_ == TreeKind::kHub && IsReference(path)) {
      path_bytes_ += path.size();
      contents_.references.push_back(std::move(path));
    }
    if (entries_ <= kMaxEntries && contents_.directories.size() <= kMaxDirectories &&
        contents_.references.size() <= kMaxReferences && path_bytes_ <= kMaxPathBytes) {
      return {};
    }
    return Fail(
        Code::kOutOfRange,
        fmt::format("a scratch volume's model may have {} directories, {} references, {} "
                    "of their names and {} files at most, and this one has more: set "
                    "`access: readOnly`",
                    kMaxDirectories, kMaxReferences, FormatBytes(kMaxPathBytes), kMaxEntries));
  }

  const TreeKind kind_;
  size_t entries_ = 0;
  size_t path_bytes_ = 0;
  ScratchContents contents_;
};

/// The mode is set apart from the making, which the umask would narrow.
Result<> MakeDirectory(int parent, const std::string& path, mode_t mode) {
  if (mkdirat(parent, path.c_str(), mode) == 0 && fchmodat(parent, path.c_str(), mode, 0) == 0) {
    return {};
  }
  return FailErrno(errno, fmt::format("make {} in the scratch layer", Printable(path, 400)));
}

/// A file that somebody else than its owner may rewrite must be theirs already: a copy that the
/// overlay makes would keep the mode of the shared one.
Result<> CopyReference(int tree, int upper, const std::string& path) {
  UniqueFd from = TRY(OpenFileBeneath(tree, path, MountCrossing::kRefused));
  std::string text = TRY(ReadAtMost(from.get(), kMaxReferenceBytes + 1));
  struct stat status{};
  bool everybodys = fstat(from.get(), &status) == 0 && (status.st_mode & S_IROTH) != 0;
  if (!everybodys || text.size() > kMaxReferenceBytes) return {};  // no reference of the daemon's
  UniqueFd to(openat(upper, path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
  bool made = to && fchmod(to.get(), 0666) == 0 &&
              write(to.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (made) return {};
  return FailErrno(errno, fmt::format("copy {} to the scratch layer", Printable(path, 400)));
}

Result<UniqueFd> MakeTmpfs(Bytes size, Bytes files) {
  NewFilesystem filesystem = TRY(NewFilesystem::Open("tmpfs"));
  TRY(filesystem.Set("source", "weighhouse-scratch"));
  TRY(filesystem.Set("size", fmt::format("{}", size)));
  TRY(filesystem.Set("nr_inodes", fmt::format("{}", files)));
  TRY(filesystem.Set("mode", "0700"));
  return filesystem.Mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

}  // namespace

Result<ScratchContents> ScratchContents::Read(int tree, TreeKind kind) {
  // A clone shows what an overlay will: the tree without what somebody mounted inside it.
  UniqueFd clone(open_tree(tree, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (!clone) return CloneFailure(errno);
  return TreeReader(std::move(clone), kind).Read();
}

Bytes ScratchContents::Cost() const {
  return kVolumeCost + directories.size() * kDirectoryCost + references.size() * kReferenceCost;
}

Bytes ScratchContents::MostCost() {
  return kVolumeCost + kMaxDirectories * kDirectoryCost + kMaxReferences * kReferenceCost;
}

Result<ScratchLayer> MakeScratchLayer(const ScratchContents& contents, Bytes size) {
  ScratchLayer layer;
  // A file for each KiB that it costs: no fewer than it starts with, and the number tells the cost.
  layer.mount = TRY(MakeTmpfs(size, contents.Cost() / kKiB + ScratchFiles(size)));
  TRY(MakeDirectory(layer.mount.get(), "upper", 0777));
  TRY(MakeDirectory(layer.mount.get(), "work", 0700));
  layer.upper = TRY(OpenDirectoryBeneath(layer.mount.get(), "upper", MountCrossing::kRefused));
  layer.work = TRY(OpenDirectoryBeneath(layer.mount.get(), "work", MountCrossing::kRefused));
  for (const std::string& directory : contents.directories) {
    TRY(MakeDirectory(layer.upper.get(), directory, 0777));
  }
  for (const std::string& reference : contents.references) {
    TRY(CopyReference(contents.tree.get(), layer.upper.get(), reference));
  }
  return layer;
}

}  // namespace weighhouse::csi
