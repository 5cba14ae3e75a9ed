// Volumes with `access: scratch` on this kernel: who may write what, and what never changes.
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "csi/linux_mounter.h"
#include "csi/new_filesystem.h"
#include "test/csi/private_namespace.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kSnapshot = "models--org--name/snapshots/0123";

/// The calling thread opens files as another user, without root's rights to them.
class AsUser {
 public:
  explicit AsUser(uid_t id) {
    setfsgid(id);
    setfsuid(id);
  }
  ~AsUser() {
    setfsuid(0);
    setfsgid(0);
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
};

bool Write(const fs::path& path, std::string_view text, int flags) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644));
  return fd && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// What the kernel gives an overlay that doesn't say otherwise, for the length of the test.
class KernelDefault {
 public:
  KernelDefault(const std::string& parameter, char value)
      : path_("/sys/module/overlay/parameters/" + parameter), before_(Now()) {
    Write(path_, std::string(1, value), 0);
  }
  ~KernelDefault() { Write(path_, std::string(1, before_), 0); }
  KernelDefault(const KernelDefault&) = delete;
  KernelDefault& operator=(const KernelDefault&) = delete;
  char Now() const { return ReadTestFile(path_).at(0); }

 private:
  const fs::path path_;
  const char before_;
};

class ScratchMountTest : public RootTest {
 protected:
  void SetUp() override {
    RootTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(chmod(shared().c_str(), 0755), 0);
    fs::create_directories(shared() / "empty");
    tree_ = shared() / "cache" / tree_name_;
    WriteTestFile(tree_ / "models--org--name/refs/main", "0123");
    WriteTestFile(tree_ / "models--org--name/refs/pr/1", "0123");
    WriteTestFile(tree_ / kSnapshot / "model.safetensors", PatternBytes(2 * kMiB, 1));
    WriteTestFile(tree_ / kSnapshot / "1_Pooling/config.json", "{}");
    for (const auto& entry : fs::recursive_directory_iterator(tree_)) {
      // As the daemon has them: blobs that nobody may write, below directories that others can't.
      ASSERT_EQ(chmod(entry.path().c_str(), entry.is_directory() ? 0755 : 0444), 0);
      ASSERT_EQ(chown(entry.path().c_str(), 4711, 4711), 0);
    }
    mounter_ = std::make_unique<LinuxMounter>((shared() / "empty").string());
    before_ = Look();
  }
  void TearDown() override {
    for (const fs::path& target : targets_) Unmount(target);
    RootTest::TearDown();
  }

  Result<> Mount(const fs::path& target, Bytes size = 8 * kMiB) {
    fs::create_directories(target);
    UniqueFd tree(open(tree_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    UniqueFd directory(open(target.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return mounter_->Mount({.tree = tree.get(),
                            .tree_name = tree_name_,
                            .target = directory.get(),
                            .protection = Protection::kScratch,
                            .selinux_context = "",
                            .scratch_size = size});
  }
  /// Mounts it for the length of the test.
  fs::path Volume(Bytes size = 8 * kMiB) {
    targets_.push_back(shared() / fmt::format("targets/{}", targets_.size()));
    Result<> mounted = Mount(targets_.back(), size);
    EXPECT_TRUE(mounted.has_value()) << mounted.error().message;
    return targets_.back();
  }
  void Unmount(const fs::path& target) {
    UniqueFd parent(open(target.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    while (mounter_->Unmount(parent.get(), target.filename().string())) continue;
  }

  /// All that the tree in the cache is: names, bytes, owners, modes and times.
  std::map<std::string, std::string> Look() const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(tree_)) {
      struct stat status{};
      EXPECT_EQ(lstat(entry.path().c_str(), &status), 0);
      std::string bytes = entry.is_regular_file() ? ReadTestFile(entry.path()) : "";
      found[entry.path().string()] =
          fmt::format("{} {} {} {} {} {}.{} {}", status.st_ino, status.st_mode, status.st_uid,
                      status.st_nlink, listxattr(entry.path().c_str(), nullptr, 0),
                      status.st_ctim.tv_sec, status.st_ctim.tv_nsec, bytes);
    }
    return found;
  }

  std::string tree_name_ = "trees/hub/" + std::string(64, 'a');
  fs::path tree_;
  std::unique_ptr<LinuxMounter> mounter_;
  std::vector<fs::path> targets_;
  std::map<std::string, std::string> before_;
};

TEST_F(ScratchMountTest, AnyUserMovesTheBranchAndAddsASnapshot) {
  fs::path volume = Volume();
  {
    AsUser user(1000);
    fs::path repository = volume / "models--org--name";
    EXPECT_TRUE(Write(repository / "refs/main", "4567", O_TRUNC));
    EXPECT_TRUE(Write(repository / "refs/pr/1", "4567", O_TRUNC));
    EXPECT_EQ(mkdir((repository / "blobs").c_str(), 0755), 0);
    EXPECT_EQ(mkdir((volume / ".locks").c_str(), 0755), 0);
    EXPECT_EQ(mkdir((repository / "snapshots/4567").c_str(), 0755), 0);
    EXPECT_TRUE(Write(repository / "blobs/x", "new", O_CREAT | O_EXCL));
    EXPECT_EQ(symlink("../../blobs/x", (repository / "snapshots/4567/config.json").c_str()), 0);
    EXPECT_TRUE(Write(volume / kSnapshot / "1_Pooling/compiled", "x", O_CREAT | O_EXCL));
    EXPECT_EQ(ReadTestFile(repository / "snapshots/4567/config.json"), "new");
    EXPECT_EQ(ReadTestFile(repository / "refs/main"), "4567");
  }
  EXPECT_EQ(Look(), before_);
}

TEST_F(ScratchMountTest, AModelsFileIsNotAnotherUsersToRewrite) {
  fs::path volume = Volume();
  AsUser user(1000);
  EXPECT_FALSE(Write(volume / kSnapshot / "model.safetensors", "x", 0));
  EXPECT_EQ(errno, EACCES);
}

TEST_F(ScratchMountTest, WhatRootDoesToItStaysInTheVolume) {
  fs::path volume = Volume();
  fs::path weights = volume / kSnapshot / "model.safetensors";
  fs::path config = volume / kSnapshot / "1_Pooling/config.json";
  EXPECT_TRUE(Write(weights, "overwritten", 0));
  EXPECT_EQ(chmod(weights.c_str(), 0666), 0);
  EXPECT_EQ(chown(weights.c_str(), 1, 1), 0);
  EXPECT_EQ(setxattr(weights.c_str(), "trusted.x", "1", 1, 0), 0);
  EXPECT_EQ(utimensat(AT_FDCWD, config.c_str(), nullptr, 0), 0);
  EXPECT_EQ(link(config.c_str(), (volume / "linked").c_str()), 0);
  EXPECT_EQ(rename(config.c_str(), (volume / "moved").c_str()), 0);
  EXPECT_EQ(chmod((volume / kSnapshot).c_str(), 0700), 0);
  EXPECT_EQ(unlink((volume / "models--org--name/refs/main").c_str()), 0);
  EXPECT_GT(fs::remove_all(volume / kSnapshot), 2U);
  EXPECT_FALSE(fs::exists(weights));
  EXPECT_EQ(ReadTestFile(volume / "moved"), "{}");
  EXPECT_EQ(Look(), before_);
  // And nothing of it is there for the next pod.
  EXPECT_EQ(ReadTestFile(Volume() / kSnapshot / "1_Pooling/config.json"), "{}");
  EXPECT_FALSE(fs::exists(targets_.back() / "moved"));
}

TEST_F(ScratchMountTest, NothingInTheUpperLayerPointsElsewhere) {
  KernelDefault redirects("redirect_dir", 'Y'), metadata_copies("metacopy", 'Y');
  ASSERT_EQ(redirects.Now(), 'Y');
  ASSERT_EQ(metadata_copies.Now(), 'Y');
  // Whatever the kernel was built with: a directory that would have to be redirected isn't renamed,
  // and a change of a file's mode alone copies all of it.
  fs::path volume = Volume(kMiB);
  EXPECT_NE(rename((volume / kSnapshot).c_str(), (volume / "moved").c_str()), 0);
  EXPECT_EQ(errno, EXDEV);
  EXPECT_NE(chmod((volume / kSnapshot / "model.safetensors").c_str(), 0644), 0);
  EXPECT_EQ(errno, ENOSPC);
  // Words that would mean something in an overlay for unprivileged users.
  std::string directory = volume / kSnapshot;
  setxattr(directory.c_str(), "user.overlay.redirect", "/models--org--name/refs", 23, 0);
  setxattr(directory.c_str(), "user.overlay.opaque", "y", 1, 0);
  EXPECT_TRUE(fs::exists(volume / kSnapshot / "model.safetensors"));
  EXPECT_FALSE(fs::exists(volume / kSnapshot / "main"));
  EXPECT_NE(mknod((volume / "whiteout").c_str(), S_IFCHR | 0666, 0), 0) << "the kernel's own word";
}

TEST_F(ScratchMountTest, MoreThanItsSizeIsNoSpaceLeftAndHarmsNobody) {
  fs::path volume = Volume(kMiB), other = Volume(kMiB);
  std::string chunk(256 * kKiB, 'x');
  int error_number = 0;
  for (int i = 0; i < 8 && error_number == 0; ++i) {
    if (!Write(volume / fmt::format("file{}", i), chunk, O_CREAT | O_EXCL)) error_number = errno;
  }
  EXPECT_EQ(error_number, ENOSPC);
  EXPECT_FALSE(Write(volume / kSnapshot / "model.safetensors", "x", 0)) << "no room for the copy";
  EXPECT_EQ(ReadTestFile(volume / kSnapshot / "model.safetensors"), PatternBytes(2 * kMiB, 1));
  EXPECT_TRUE(Write(other / "file", chunk, O_CREAT | O_EXCL));
  EXPECT_EQ(Look(), before_);
}

TEST_F(ScratchMountTest, FilesAreBoundedToo) {
  fs::path volume = Volume(kMiB);
  int made = 0;
  while (made < 5000 && Write(volume / fmt::format("f{}", made), "", O_CREAT | O_EXCL)) ++made;
  EXPECT_GE(made, 1000);
  EXPECT_LT(made, 1100);
  EXPECT_EQ(errno, ENOSPC);
}

/// Too much of one thing, and that one less is not.
class ScratchLimitTest : public ScratchMountTest {
 protected:
  void SetUp() override {
    ScratchMountTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(mount("tree", tree_.c_str(), "tmpfs", 0, ""), 0) << "quicker than a disk";
  }
  void TearDown() override {
    umount2(tree_.c_str(), MNT_DETACH);
    ScratchMountTest::TearDown();
  }
  void Refused(const std::string& limit, const fs::path& last) {
    Result<> mounted = Mount(shared() / "target");
    ASSERT_FALSE(mounted.has_value());
    EXPECT_EQ(mounted.error().code, Code::kOutOfRange);
    EXPECT_THAT(mounted.error().message, HasSubstr(limit));
    fs::remove(last);
    Volume();
  }
};

TEST_F(ScratchLimitTest, ATreeWithMoreDirectoriesThanAModelHasIsRefused) {
  for (int i = 0; i <= 1000; ++i) fs::create_directory(tree_ / fmt::format("d{}", i));
  Refused("1000 directories", tree_ / "d1000");
}

TEST_F(ScratchLimitTest, ATreeWithMoreReferencesThanAModelHasIsRefused) {
  for (int i = 0; i <= 64; ++i) WriteTestFile(tree_ / fmt::format("models/refs/r{}", i), "0123");
  Refused("64 references", tree_ / "models/refs/r64");
}

TEST_F(ScratchLimitTest, ATreeWithLongerNamesThanAModelHasIsRefused) {
  size_t bytes = 0;
  fs::path below;
  auto make = [&](const fs::path& path) {
    ASSERT_TRUE(fs::create_directory(tree_ / path));
    bytes += path.native().size();
  };
  for (int level = 0; level < 12; ++level) make(below /= std::string(250, 'x'));
  fs::path last;
  for (int i = 0; bytes <= 1 << 20; ++i) make(last = below / fmt::format("{}", i));
  Refused("1.0 MiB of their names", tree_ / last);
}

TEST_F(ScratchMountTest, AllTogetherCostABoundedPartOfThePluginsMemory) {
  // 32 KiB a volume, six directories and two references of 5 KiB.
  mounter_ = std::make_unique<LinuxMounter>((shared() / "empty").string(), 100 * kKiB);
  fs::path first = Volume(), second = Volume(64 * kMiB);
  fs::path elsewhere = shared() / "elsewhere";
  fs::create_directory(elsewhere);
  ASSERT_EQ(mount(first.c_str(), elsewhere.c_str(), nullptr, MS_BIND, nullptr), 0);
  for (bool restarted : {false, true}) {
    if (restarted) {
      mounter_ = std::make_unique<LinuxMounter>((shared() / "empty").string(), 100 * kKiB);
    }
    Result<> third = Mount(shared() / "third");
    ASSERT_FALSE(third.has_value());
    EXPECT_EQ(third.error().code, Code::kResourceExhausted);
    EXPECT_THAT(third.error().message,
                AllOf(HasSubstr("take 96.0 KiB"), HasSubstr("48.0 KiB more"),
                      HasSubstr("of 100.0 KiB"), HasSubstr("`access: readOnly`")));
  }
  ASSERT_EQ(umount2(elsewhere.c_str(), MNT_DETACH), 0);
  Unmount(second);
  Volume();
}

TEST_F(ScratchMountTest, ManyAtOnceStayWithinTheBoundTogether) {
  mounter_ = std::make_unique<LinuxMounter>((shared() / "empty").string(), 100 * kKiB);
  std::atomic<int> mounted = 0, refused = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) targets_.push_back(shared() / fmt::format("targets/{}", i));
  for (const fs::path& target : targets_) {
    threads.emplace_back([this, &target, &mounted, &refused] {
      Result<> outcome = Mount(target);
      if (outcome) ++mounted;
      if (!outcome && outcome.error().code == Code::kResourceExhausted) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(mounted, 1) << "the first of them met nobody";
  EXPECT_LE(mounted, 2);
  EXPECT_EQ(mounted + refused, 12) << "no other failure";
  // And those that were refused are counted no more.
  for (const fs::path& target : targets_) Unmount(target);
  Volume();
  Volume();
}

TEST_F(ScratchMountTest, AReferenceIsCopiedOnlyWhereEverybodyMayReadIt) {
  WriteTestFile(tree_ / "models--org--name/refs/secret", "x");
  ASSERT_EQ(chmod((tree_ / "models--org--name/refs/secret").c_str(), 0400), 0);
  fs::create_symlink("/etc/passwd", tree_ / "models--org--name/refs/link");
  Result<> mounted = Mount(shared() / "targets/x");
  targets_.push_back(shared() / "targets/x");
  ASSERT_TRUE(mounted.has_value()) << mounted.error().message;
  struct stat status{};
  ASSERT_EQ(stat((targets_.back() / "models--org--name/refs/secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0400U);
  EXPECT_TRUE(fs::is_symlink(targets_.back() / "models--org--name/refs/link"));
}

TEST_F(ScratchMountTest, TheVolumeIsAllThatIsMounted) {
  auto points = [this] {
    std::vector<std::string> found;
    Result<std::vector<MountEntry>> mounts = mounter_->Mounts();
    EXPECT_TRUE(mounts.has_value());
    for (const MountEntry& entry : *mounts) found.push_back(entry.mount_point);
    return found;
  };
  std::vector<std::string> expected = points();
  expected.push_back((shared() / "targets/0").string());
  Volume();
  EXPECT_THAT(points(), testing::UnorderedElementsAreArray(expected));
}

TEST_F(ScratchMountTest, ManyAtOnceHaveALayerEach) {
  constexpr int kVolumes = 12;
  std::vector<std::thread> threads;
  std::vector<std::string> failures(kVolumes);
  for (int i = 0; i < kVolumes; ++i) targets_.push_back(shared() / fmt::format("targets/{}", i));
  for (int i = 0; i < kVolumes; ++i) {
    threads.emplace_back([this, i, &failures] {
      Result<> mounted = Mount(targets_[static_cast<size_t>(i)]);
      if (!mounted) failures[static_cast<size_t>(i)] = mounted.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(failures, testing::Each(""));
  for (const fs::path& target : targets_) {
    EXPECT_FALSE(fs::exists(target / "mine"));
    EXPECT_TRUE(Write(target / "mine", "x", O_CREAT | O_EXCL));
  }
}

TEST_F(ScratchMountTest, UnmountingWorksWhileAFileIsOpen) {
  fs::path volume = Volume();
  UniqueFd file(open((volume / "file").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  Unmount(volume);
  EXPECT_EQ(rmdir(volume.c_str()), 0);
  EXPECT_EQ(write(file.get(), "x", 1), 1);
  fs::create_directory(volume);
}

}  // namespace
}  // namespace weighhouse::csi
