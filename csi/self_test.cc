// The tests behind TestProtections.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "csi/beneath.h"
#include "csi/protections.h"

namespace weighhouse::csi {
namespace {

constexpr std::string_view kContent = "weighhouse self-test\n";
constexpr std::string_view kChange = "changed\n";
constexpr const char* kFile = "file";

/// The scratch tree: `tree/file` and an empty `target`, below one directory of a fixed name, so
/// that what a killed run left is found and removed. Removed when destroyed.
class Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> Make(Mounter& mounter, const std::string& directory) {
    std::error_code error;
    std::filesystem::create_directories(EmptyDirectory(directory), error);
    if (error) {
      return Fail(Code::kFailedPrecondition,
                  fmt::format("make {}: {} (see --scratch-dir)", EmptyDirectory(directory),
                              error.message()));
    }
    std::unique_ptr<Scratch> scratch(new Scratch(mounter));
    RootDirectory root = TRY(OpenRootDirectory(directory));
    scratch->root_ = std::move(root.fd);
    scratch->Remove();
    TRY(scratch->Fill());
    return scratch;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { Remove(); }

  int tree() const { return tree_.get(); }
  int target() const { return target_.get(); }
  /// The directory that holds the target.
  int parent() const { return parent_.get(); }

  void UnmountAll() {
    while (parent_ && mounter_.Unmount(parent_.get(), "target")) continue;
  }

 private:
  explicit Scratch(Mounter& mounter) : mounter_(mounter) {}

  Result<> Fill() {
    for (const char* name : {"self-test", "self-test/tree", "self-test/target"}) {
      // The mode twice: a umask that hides the tree from others would hide it from root too, which
      // has no rights of its own through an idmapped mount.
      if (mkdirat(root_.get(), name, 0755) != 0 || fchmodat(root_.get(), name, 0755, 0) != 0) {
        return FailErrno(errno, fmt::format("make {}", name));
      }
    }
    parent_ = TRY(OpenDirectoryBeneath(root_.get(), "self-test", MountCrossing::kAllowed));
    tree_ = TRY(OpenDirectoryBeneath(parent_.get(), "tree", MountCrossing::kAllowed));
    target_ = TRY(OpenDirectoryBeneath(parent_.get(), "target", MountCrossing::kAllowed));
    UniqueFd file(openat(tree_.get(), kFile, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444));
    if (!file || fchmod(file.get(), 0444) != 0) {
      return FailErrno(errno, "make the self-test's file");
    }
    if (write(file.get(), kContent.data(), kContent.size()) !=
        static_cast<ssize_t>(kContent.size())) {
      return FailErrno(errno, "write the self-test's file");
    }
    return {};
  }

  void Remove() {
    if (!root_) return;
    Result<UniqueFd> parent =
        OpenDirectoryBeneath(root_.get(), "self-test", MountCrossing::kAllowed);
    if (!parent) return;
    parent_ = std::move(*parent);
    UnmountAll();
    unlinkat(parent_.get(), "tree/file", 0);
    unlinkat(parent_.get(), "tree/created", 0);
    unlinkat(parent_.get(), "tree", AT_REMOVEDIR);
    unlinkat(parent_.get(), "target", AT_REMOVEDIR);
    unlinkat(root_.get(), "self-test", AT_REMOVEDIR);
  }

  Mounter& mounter_;
  UniqueFd root_, parent_, tree_, target_;
};

/// A clone of what is mounted at the target, its read-only flag cleared: what runc since 1.2 gives
/// a container whose volume isn't marked readOnly.
Result<UniqueFd> WritableClone(int parent) {
  UniqueFd clone(open_tree(parent, "target", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!clone) return FailErrno(errno, "clone the mount");
  mount_attr attributes{};
  attributes.attr_clr = MOUNT_ATTR_RDONLY;
  if (mount_setattr(clone.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return FailErrno(errno, "clear the clone's read-only flag");
  }
  return clone;
}

/// What root can do through `directory` that it must not; empty if nothing.
std::string Breach(int directory) {
  if (UniqueFd(openat(directory, kFile, O_WRONLY | O_CLOEXEC)))
    return "root opened a file for writing";
  if (UniqueFd(openat(directory, "created", O_CREAT | O_WRONLY | O_CLOEXEC, 0644))) {
    return "root created a file";
  }
  if (fchmodat(directory, kFile, 0666, 0) == 0) return "root changed a file's mode";
  if (fchownat(directory, kFile, 0, 0, AT_SYMLINK_NOFOLLOW) == 0) {
    return "root changed a file's owner";
  }
  if (utimensat(directory, kFile, nullptr, 0) == 0) return "root changed a file's times";
  if (renameat(directory, kFile, directory, "created") == 0) return "root renamed a file";
  if (unlinkat(directory, kFile, 0) == 0) return "root deleted a file";
  return "";
}

Result<> CheckReadable(int directory) {
  UniqueFd file(openat(directory, kFile, O_RDONLY | O_CLOEXEC));
  if (!file) return FailErrno(errno, "read through the mount");
  std::string content = TRY(ReadAtMost(file.get(), kContent.size() + 1));
  if (content != kContent) return Fail(Code::kDataLoss, "the mount shows other bytes");
  return {};
}

/// kFailedPrecondition if the tree isn't what it was; another code if that can't be seen now.
Result<> CheckUntouched(int tree) {
  bool created = faccessat(tree, "created", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (!created && errno != ENOENT) return FailErrno(errno, "look at the tree");
  Result<> same = CheckReadable(tree);
  bool changed =
      !same && (same.error().code == Code::kDataLoss || same.error().code == Code::kNotFound);
  if (!created && !changed) return same;
  return Fail(Code::kFailedPrecondition, "what root wrote through the mount changed the tree");
}

/// Rewrites the file, creates one, and deletes the first, as a pod may in a scratch volume.
Result<> ChangeAll(int directory) {
  UniqueFd file(openat(directory, kFile, O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!file) return FailErrno(errno, "open a file for writing");
  if (write(file.get(), kChange.data(), kChange.size()) != static_cast<ssize_t>(kChange.size())) {
    return FailErrno(errno, "write a file");
  }
  UniqueFd created(openat(directory, "created", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
  if (!created) return FailErrno(errno, "create a file");
  UniqueFd changed(openat(directory, kFile, O_RDONLY | O_CLOEXEC));
  std::string content = TRY(ReadAtMost(changed.get(), kContent.size()));
  if (content != kChange) return Fail(Code::kInternal, "what was written is not what is read");
  if (unlinkat(directory, kFile, 0) != 0) return FailErrno(errno, "delete a file");
  return {};
}

/// Writes through the mount, and looks whether the tree is what it was.
Result<> TryWriting(const Scratch& scratch) {
  UniqueFd volume = TRY(OpenDirectoryBeneath(scratch.parent(), "target", MountCrossing::kAllowed));
  TRY(CheckReadable(volume.get()));
  Result<> changed = ChangeAll(volume.get());
  TRY(CheckUntouched(scratch.tree()));
  return changed;
}

MountOrder OrderFor(const Scratch& scratch, Protection protection) {
  return {.tree = scratch.tree(),
          .tree_name = "self-test",
          .target = scratch.target(),
          .protection = protection,
          .selinux_context = "",
          .scratch_size = kMiB};
}

Result<> TryProtection(Mounter& mounter, Scratch& scratch, Protection protection) {
  TRY(mounter.Mount(OrderFor(scratch, protection)));
  if (protection == Protection::kScratch) return TryWriting(scratch);
  UniqueFd clone = TRY(WritableClone(scratch.parent()));
  TRY(CheckReadable(clone.get()));
  std::string breach = Breach(clone.get());
  if (!breach.empty()) return Fail(Code::kFailedPrecondition, breach);
  return {};
}

}  // namespace

Result<ProtectionFinding> TestProtection(Mounter& mounter, const std::string& scratch_directory,
                                         Protection protection) {
  // A tree of its own for each: one that doesn't hold may have changed it.
  std::unique_ptr<Scratch> scratch = TRY(Scratch::Make(mounter, scratch_directory));
  Result<> outcome = TryProtection(mounter, *scratch, protection);
  if (outcome) return ProtectionFinding{.holds = true, .reason = ""};
  return ProtectionFinding{
      .holds = false, .reason = outcome.error().message, .code = outcome.error().code};
}

Result<ProtectionFindings> TestProtections(Mounter& mounter, const std::string& scratch_directory) {
  ProtectionFindings findings;
  findings.idmapped_bind =
      TRY(TestProtection(mounter, scratch_directory, Protection::kIdmappedBind));
  findings.overlay = TRY(TestProtection(mounter, scratch_directory, Protection::kOverlay));
  findings.scratch = TRY(TestProtection(mounter, scratch_directory, Protection::kScratch));
  return findings;
}

}  // namespace weighhouse::csi
