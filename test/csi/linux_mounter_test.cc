// Real mounts: the contract, and what root can't do through them.
#include "csi/linux_mounter.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "csi/unmapped_namespace.h"
#include "test/csi/mounter_contract.h"
#include "test/csi/private_namespace.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;

class LinuxMounterTest : public MounterContract {
 protected:
  std::unique_ptr<Mounter> MakeMounter(const std::string& empty) override {
    return std::make_unique<LinuxMounter>(empty);
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounting needs root";
    MounterContract::SetUp();
  }
  void TearDown() override {
    if (mounter_) MounterContract::TearDown();
  }
  /// What a pod may write there: scratch_mount_test.cc.
  bool IsScratch() const { return GetParam() == Protection::kScratch; }
  fs::path InTarget(const std::string& name) const { return fs::path(Target()) / name; }
};
WEIGHHOUSE_MOUNTER_CONTRACT(LinuxMounterTest);

/// The kinds that nobody writes through.
class ReadOnlyMountTest : public LinuxMounterTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, ReadOnlyMountTest,
                         testing::Values(Protection::kReadOnlyBind, Protection::kIdmappedBind,
                                         Protection::kOverlay),
                         ProtectionTestName);

/// Those of them that need no flag for that: the runtime keeps it for a volume that is readOnly,
/// and for no other.
class ProtectedMountTest : public LinuxMounterTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, ProtectedMountTest,
                         testing::Values(Protection::kIdmappedBind, Protection::kOverlay),
                         ProtectionTestName);

/// Those that begin with a clone of the tree's mount.
class ClonedMountTest : public LinuxMounterTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, ClonedMountTest,
                         testing::Values(Protection::kReadOnlyBind, Protection::kIdmappedBind,
                                         Protection::kScratch),
                         ProtectionTestName);

class IdmappedMountTest : public LinuxMounterTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, IdmappedMountTest, testing::Values(Protection::kIdmappedBind),
                         ProtectionTestName);

/// Everything by which root could change a tree; the names of what succeeded.
std::vector<std::string> Attack(const fs::path& directory) {
  std::vector<std::string> done;
  auto attempt = [&done](const char* what, bool succeeded) {
    if (succeeded) done.emplace_back(what);
  };
  std::string file = (directory / "file").string(), other = (directory / "other").string();
  for (int flags : {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND}) {
    attempt("open", UniqueFd(open(file.c_str(), flags | O_CLOEXEC)).get() >= 0);
  }
  attempt("create", UniqueFd(open(other.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644)).get() >= 0);
  attempt("tmpfile",
          UniqueFd(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)).get() >= 0);
  attempt("truncate", truncate(file.c_str(), 0) == 0);
  attempt("chmod", chmod(file.c_str(), 0666) == 0);
  attempt("chmod of the root", chmod(directory.c_str(), 0777) == 0);
  attempt("chown", chown(file.c_str(), 0, 0) == 0);
  attempt("touch", utimensat(AT_FDCWD, file.c_str(), nullptr, 0) == 0);
  attempt("mkdir", mkdir(other.c_str(), 0755) == 0);
  attempt("symlink", symlink("/etc", other.c_str()) == 0);
  attempt("link", link(file.c_str(), other.c_str()) == 0);
  attempt("mknod", mknod(other.c_str(), S_IFREG | 0644, 0) == 0);
  attempt("setxattr", setxattr(file.c_str(), "trusted.x", "1", 1, 0) == 0);
  attempt("rename", rename(file.c_str(), other.c_str()) == 0);
  attempt("unlink", unlink(file.c_str()) == 0);
  return done;
}

std::string Read(const fs::path& path) {
  std::ifstream stream(path);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

TEST_P(ReadOnlyMountTest, RootReadsButChangesNothing) {
  ASSERT_TRUE(Mount().has_value());
  EXPECT_EQ(Read(InTarget("file")), "content");
  EXPECT_THAT(Attack(Target()), testing::IsEmpty());
}

TEST_P(ProtectedMountTest, RootChangesNothingThroughACloneWhoseReadOnlyFlagIsCleared) {
  ASSERT_TRUE(Mount().has_value());
  // As runc since 1.2 does for a container.
  fs::path clone = base_ / "clone";
  fs::create_directory(clone);
  UniqueFd tree(open_tree(AT_FDCWD, Target().c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  ASSERT_GE(tree.get(), 0);
  mount_attr attributes{};
  attributes.attr_clr = MOUNT_ATTR_RDONLY;
  ASSERT_EQ(mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes), 0);
  ASSERT_EQ(move_mount(tree.get(), "", AT_FDCWD, clone.c_str(), MOVE_MOUNT_F_EMPTY_PATH), 0);
  EXPECT_EQ(Read(clone / "file"), "content");
  EXPECT_THAT(Attack(clone), testing::IsEmpty());
  // As an older one does, on the mount itself.
  ASSERT_EQ(mount(nullptr, Target().c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr), 0);
  EXPECT_THAT(Attack(Target()), testing::IsEmpty());
  EXPECT_EQ(Read(base_ / "cache" / tree_name_ / "file"), "content");
  umount2(clone.c_str(), MNT_DETACH);
}

TEST_P(LinuxMounterTest, NeitherSetuidNorDevicesNorProgramsWork) {
  ASSERT_TRUE(Mount().has_value());
  std::ifstream mountinfo("/proc/self/mountinfo");
  std::string line, found;
  while (std::getline(mountinfo, line)) {
    if (line.find(" " + Target() + " ") != line.npos) found = line;
  }
  for (const char* option : {IsScratch() ? "rw," : "ro,", "nosuid,", "nodev,", "noexec,"}) {
    EXPECT_THAT(found, testing::HasSubstr(option));
  }
}

TEST_P(LinuxMounterTest, WhatIsMountedBelowTheTreeDoesNotShow) {
  fs::path inner = base_ / "cache" / tree_name_ / "inner";
  fs::create_directory(inner);
  ASSERT_EQ(mount("tmpfs", inner.c_str(), "tmpfs", 0, "size=64k"), 0);
  WriteTestFile(inner / "hidden", "x");
  ASSERT_TRUE(Mount().has_value());
  EXPECT_FALSE(fs::exists(InTarget("inner/hidden")));
  umount2(inner.c_str(), MNT_DETACH);
}

TEST_P(LinuxMounterTest, UnmountingWorksWhileAFileIsOpen) {
  ASSERT_TRUE(Mount().has_value());
  UniqueFd file(open(InTarget("file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_GE(file.get(), 0);
  EXPECT_TRUE(mounter_->Unmount(targets_.get(), "t").has_value());
  char byte = 0;
  EXPECT_EQ(read(file.get(), &byte, 1), 1);
  EXPECT_EQ(rmdir(Target().c_str()), 0);
  fs::create_directory(Target());
}

TEST_P(LinuxMounterTest, UnmountDoesNotFollowASymlink) {
  ASSERT_TRUE(Mount().has_value());
  fs::create_directory_symlink(Target(), base_ / "targets/link");
  EXPECT_EQ(mounter_->Unmount(targets_.get(), "link").error().code, Code::kNotFound);
  EXPECT_EQ(Found().kind, VolumeMounts::Kind::kVolume);
}

TEST_P(ClonedMountTest, ATreeThatCanNotBeClonedSaysNothingOfWhatTheKernelCanDo) {
  std::string cache = (base_ / "cache").string();
  ASSERT_EQ(mount(cache.c_str(), cache.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(mount(nullptr, cache.c_str(), nullptr, MS_UNBINDABLE, nullptr), 0);
  Result<> mounted = Mount();
  ASSERT_FALSE(mounted.has_value());
  EXPECT_EQ(mounted.error().code, Code::kInternal) << mounted.error().message;
  EXPECT_THAT(mounted.error().message, testing::HasSubstr("clone the tree's mount"));
  umount2(cache.c_str(), MNT_DETACH);
  EXPECT_TRUE(Mount().has_value());
}

TEST_P(IdmappedMountTest, FilesOfTheMappedIdAreNotIdmapped) {
  ASSERT_EQ(chown((base_ / "cache" / tree_name_).c_str(), kMappedId, kMappedId), 0);
  EXPECT_EQ(Mount().error().code, Code::kUnimplemented);
  EXPECT_EQ(Found().kind, VolumeMounts::Kind::kNone);
}

TEST_P(LinuxMounterTest, AFilesystemThatCanNotBeIdmappedIsUnimplementedAndAnOverlayWorks) {
  // An overlay stands for such a filesystem; it can't be idmapped.
  fs::path work = base_ / "lower";
  fs::create_directory(work);
  std::string layers = "lowerdir=" + (base_ / "cache").string() + ":" + work.string();
  ASSERT_EQ(mount("overlay", (base_ / "cache").c_str(), "overlay", 0, layers.c_str()), 0);
  Result<> mounted = Mount();
  EXPECT_EQ(mounted.has_value(), GetParam() != Protection::kIdmappedBind);
  if (!mounted) {
    EXPECT_EQ(mounted.error().code, Code::kUnimplemented);
  }
  while (mounter_->Unmount(targets_.get(), "t")) continue;
  umount2((base_ / "cache").c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace weighhouse::csi
