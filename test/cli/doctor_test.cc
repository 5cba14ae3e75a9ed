#include <linux/magic.h>

#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cli/sound_node.h"

namespace weighhouse::cli {
namespace {

using enum CheckState;
using testing::HasSubstr;
using testing::Not;

TEST(DoctorTest, FindsNothingOnASoundNode) {
  Findings findings = Judge(SoundNode());
  EXPECT_THAT(Wrong(findings), testing::IsEmpty());
  EXPECT_EQ(findings.size(), 25u);
}

TEST(DoctorTest, TakesKernelsFromTheOneThatProtectsVolumes) {
  for (const char* good : {"5.12.0", "5.15.0-91-generic", "6.1.0", "10.0"})
    ExpectIs(JudgeKernel({.release = good}), kOk, good, "");
  for (const char* old : {"5.11.22", "4.18.0-553.el8", "5.4"})
    ExpectIs(JudgeKernel({.release = old}), kFail, old, "5.12");
  for (const char* odd : {"", "linux", "6", "6.x"})
    ExpectIs(JudgeKernel({.release = odd}), kWarn, odd, "5.12");
}

TEST(DoctorTest, ComparesLimitsWithWhatTheDaemonTakes) {
  ExpectIs(JudgeMemoryLock({.memory_locked = 4 * kKiB}, 128 * kMiB), kWarn, "4.0 KiB of this",
           "RLIMIT_MEMLOCK to 64.0 KiB");
  ExpectIs(JudgeMemoryLock({.memory_locked = 64 * kKiB}, 128 * kMiB), kOk, "64.0 KiB of this", "");
  ExpectIs(JudgeMemoryLock({.daemon = 9}, 128 * kMiB), kOk, "unlimited, of process 9", "");
  ExpectIs(JudgeMemoryLock({.memory_locked = 4 * kMiB}, 4 * kMiB), kOk, "4.0 MiB", "");
  config::Config config;
  uint64_t needed = config.fill.connections + 4 * config.fill.max_active_files + 256;
  ExpectIs(JudgeOpenFiles({.open_files = needed}, config), kOk, std::to_string(needed), "");
  ExpectIs(JudgeOpenFiles({.daemon = 9, .open_files = needed - 1}, config), kFail, "of process 9",
           "RLIMIT_NOFILE to " + std::to_string(needed));
  ExpectIs(JudgeOpenFiles({}, config), kOk, "unlimited", "");
}

TEST(DoctorTest, SaysWhatIsWrongWithTheConfiguration) {
  ExpectIs(JudgeConfiguration({.file = "f", .error = "f:2: cache.limt: did you mean cache.limit?"}),
           kFail, "cache.limt", "config check");
  ExpectIs(JudgeConfiguration({.file = "f"}), kOk, "no f: the defaults", "");
  ExpectIs(JudgeConfiguration({.file = "f", .present = true, .overrides = 2}), kOk, "2 overrides",
           "");
}

TEST(DoctorTest, SaysWhatIsWrongWithTheRoot) {
  RootFacts sound = *SoundNode().root_facts;
  RootFacts missing{.path = "/cache", .stat_error = ENOENT};
  ExpectIs(JudgeRoot(missing, 64100), kFail, "does not exist", "install -d -o 64100");
  RootFacts file = sound;
  file.is_directory = false;
  ExpectIs(JudgeRoot(file, 64100), kFail, "not a directory", "cache.root");
  RootFacts of_root = sound;
  of_root.owner = 0;
  ExpectIs(JudgeRoot(of_root, 64100), kFail, "belongs to root", "chown -R 64100:64100 /cache");
  RootFacts foreign = sound;
  foreign.has_cache = false;
  foreign.foreign = "photos";
  ExpectIs(JudgeRoot(foreign, 64100), kFail, "'photos'", "empty directory");
  RootFacts closed = sound;
  closed.has_cache = closed.listed = false;
  ExpectIs(JudgeRoot(closed, 64100), kOk, "can't be read", "");
  ExpectIs(JudgeRoot({.path = "/cache", .stat_error = EIO}, 1), kFail, "Input/output",
           "kernel's log");
}

TEST(DoctorTest, NeverAdvisesToGiveAwayWhatIsNoCache) {
  RootFacts etc = *SoundNode().root_facts;
  etc.path = "/etc";
  etc.owner = 0;
  etc.has_cache = false;
  etc.foreign = "passwd";
  RootFacts closed = etc;
  closed.foreign.clear();
  closed.listed = false;
  for (const RootFacts& root : {etc, closed}) {
    for (const Finding& finding :
         {JudgeRoot(root, 64100), JudgeWriting(root, {.uid = 64100, .create_error = EACCES}),
          JudgeWriting(root, {.uid = 64100, .read_back = true})}) {
      EXPECT_NE(finding.state, kOk);
      EXPECT_THAT(finding.remedy, Not(HasSubstr("chown")));
      EXPECT_THAT(finding.remedy, HasSubstr("cache.root"));
    }
  }
}

TEST(DoctorTest, AdvisesHugePagesWhereTheyAreOff) {
  ExpectIs(JudgeHugePages({.huge_pages = "never"}), kWarn, "never", "echo madvise > /sys/kernel");
  EXPECT_EQ(JudgeHugePages({.huge_pages = "always"}).state, kOk);
  EXPECT_EQ(JudgeHugePages({}).state, kSkip);
}

TEST(DoctorTest, LooksNoFurtherWhereThereIsNoRoot) {
  Facts facts = SoundNode();
  facts.root_facts = RootFacts{.path = "/cache", .stat_error = ENOENT};
  facts.probe.reset();
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("fail root"));
  facts.root_facts.reset();
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("fail root"));
}

TEST(DoctorTest, RefusesFilesystemsThatKeepNoCache) {
  RootFacts root = *SoundNode().root_facts;
  auto of_type = [&root](int64_t type) {
    root.filesystem = type;
    return JudgeFilesystem(root);
  };
  ExpectIs(of_type(EXT4_SUPER_MAGIC), kOk, "ext4", "");
  ExpectIs(of_type(XFS_SUPER_MAGIC), kOk, "xfs", "");
  ExpectIs(of_type(BTRFS_SUPER_MAGIC), kWarn, "btrfs", "ext4 or xfs");
  ExpectIs(of_type(0x1234), kWarn, "0x1234", "ext4 or xfs");
  for (int64_t refused :
       std::initializer_list<int64_t>{TMPFS_MAGIC, RAMFS_MAGIC, OVERLAYFS_SUPER_MAGIC,
                                      NFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, V9FS_MAGIC})
    EXPECT_EQ(of_type(refused).state, kFail) << refused;
  root.read_only = true;
  ExpectIs(of_type(EXT4_SUPER_MAGIC), kFail, "read-only", "kernel's log");
}

TEST(DoctorTest, SaysWhyTheDaemonCannotWrite) {
  RootFacts root = *SoundNode().root_facts;
  ProbeFacts sound{.uid = 64100, .read_back = true};
  ExpectIs(JudgeWriting(root, sound), kOk, "uid 64100 in /cache", "");
  ExpectIs(JudgeWriting(root, {.uid = 64100, .create_error = EACCES}), kFail, "Permission denied",
           "chown -R 64100:64100");
  ExpectIs(JudgeWriting(root, {.uid = 64100, .create_error = ENOSPC}), kFail, "No space", "space");
  ExpectIs(JudgeWriting(root, {.uid = 64100, .write_error = EIO}), kFail, "Input/output",
           "kernel's log");
  ExpectIs(JudgeWriting(root, {.uid = 64100}), kFail, "does not read back", "replace it");
  ExpectIs(JudgeWriting(root, {.uid = 64100, .become_error = EPERM}), kSkip, "as root", "");
  ExpectIs(JudgeWriting(root, {.uid = 5, .read_back = true}), kWarn, "another user's", "chown");
}

TEST(DoctorTest, JudgesWaysToWrite) {
  ProbeFacts probe{.uid = 64100, .read_back = true};
  using enum io::IoEngineChoice;
  ExpectIs(JudgeDirectIo(probe), kOk, "page cache", "");
  ExpectIs(JudgeIoUring(probe, kAuto), kOk, "works", "");
  probe.direct_error = EINVAL;
  ExpectIs(JudgeDirectIo(probe), kWarn, "Invalid argument", "ext4");
  probe.ring_refusal = io::RingRefusal{.step = "io_uring_setup", .error_number = EPERM};
  probe.ring_facts = {.seccomp_filter = true};
  ExpectIs(JudgeIoUring(probe, kAuto), kWarn, "seccomp", "seccomp profile");
  ExpectIs(JudgeIoUring(probe, kIoUring), kFail, "seccomp", "fill.engine");
  EXPECT_EQ(JudgeIoUring(probe, kPwrite).state, kSkip);
  probe.ring_facts = {.disabled_sysctl = "2"};
  ExpectIs(JudgeIoUring(probe, kAuto), kWarn, "io_uring_disabled is 2", "allow it");
  probe.create_error = EACCES;
  EXPECT_EQ(JudgeDirectIo(probe).state, kSkip);
}

TEST(DoctorTest, JudgesRoomByWhatTheCacheMayUse) {
  RootFacts root = *SoundNode().root_facts;
  config::Config config;
  ExpectIs(JudgeSpace(root, config, false, nullptr), kOk, "50.0 GiB free of 100.0 GiB", "");
  root.free = 4 * kGiB;  // less than the 5 % that stay free
  EXPECT_EQ(JudgeSpace(root, config, false, nullptr).state, kOk) << "a full cache evicts";
  root.has_cache = false;
  ExpectIs(JudgeSpace(root, config, false, nullptr), kFail, "4.0 GiB free", "free space");
  root.free = 15 * kGiB;
  EXPECT_EQ(JudgeSpace(root, config, false, nullptr).state, kOk);
  EXPECT_EQ(JudgeSpace(root, config, true, nullptr).state, kFail) << "20 % of a shared one";
  cache::v1::CapacityResponse capacity;
  capacity.set_held(3 * kGiB);
  ExpectIs(JudgeSpace(root, config, false, &capacity), kFail, "3.0 GiB are held", "cache.limit");
  capacity.set_available(1);
  EXPECT_EQ(JudgeSpace(root, config, false, &capacity).state, kOk);
  root.free = kMiB;
  EXPECT_EQ(JudgeSpace(root, config, false, &capacity).state, kFail);
  config.limit = config::SpaceShare{.bytes = 200 * kGiB};
  ExpectIs(JudgeLimit(root, config), kWarn, "200.0 GiB of a filesystem of 100.0 GiB",
           "cache.limit");
  config.limit = config::SpaceShare{.percent = 100};
  EXPECT_EQ(JudgeLimit(root, config).state, kOk);
}

TEST(DoctorTest, JudgesInodes) {
  RootFacts root = *SoundNode().root_facts;
  EXPECT_EQ(JudgeInodes(root).state, kOk);
  root.inodes_free = 4'999;
  ExpectIs(JudgeInodes(root), kWarn, "4999 free of 100000", "mkfs.ext4 -N");
  root.inodes_free = 10;
  ExpectIs(JudgeInodes(root), kFail, "10 free", "mkfs.ext4 -N");
  root.inodes = 0;
  EXPECT_EQ(JudgeInodes(root).state, kOk);
}

TEST(DoctorTest, TellsTheDaemonsLockFromAnothers) {
  RootFacts root = *SoundNode().root_facts;
  root.locked_by = 77;
  root.locked_by_name = "other";
  ExpectIs(JudgeLock(root, nullptr), kFail, "process 77 (other)", "stop process 77");
  cache::v1::InfoResponse info = *SoundNode().admin->info;
  EXPECT_EQ(JudgeLock(root, &info).state, kOk);
  info.set_root_inode(3);
  EXPECT_EQ(JudgeLock(root, &info).state, kFail);
  ExpectIs(JudgeDaemonRoot(root, info), kFail, "another directory", "restart the daemon");
  root.locked_by = 0;
  EXPECT_EQ(JudgeLock(root, nullptr).state, kOk);
}

TEST(DoctorTest, JudgesKubeletsDirectory) {
  KubeletFacts kubelet{.path = "/k", .mount_point = "/k", .shared = true};
  EXPECT_EQ(JudgePropagation(kubelet).state, kOk);
  kubelet.shared = false;
  ExpectIs(JudgePropagation(kubelet), kFail, "/k, which is not shared", "--make-rshared /k");
  kubelet.stat_error = ENOENT;
  ExpectIs(JudgePropagation(kubelet), kSkip, "no /k here", "");
  kubelet.named = true;
  ExpectIs(JudgePropagation(kubelet), kFail, "No such file", "--root-dir");
}

TEST(DoctorTest, WarnsOfAFilesystemThatKubeletUsesToo) {
  RootFacts root = *SoundNode().root_facts;
  KubeletFacts kubelet{.path = "/k", .device = root.device};
  config::Config config;
  ExpectIs(JudgeNodeFilesystem(root, kubelet, config), kWarn, "shares", "filesystem of its own");
  config.min_free = config::SpaceShare{.percent = 3};
  ExpectIs(JudgeNodeFilesystem(root, kubelet, config), kWarn, "3.0 GiB free", "20.0 GiB (20%)");
  kubelet.device = root.device + 1;
  EXPECT_EQ(JudgeNodeFilesystem(root, kubelet, config).state, kOk);
}

TEST(DoctorTest, PrintsALineACheckAndItsRemedyBelow) {
  Findings findings{Sound("kernel", "6.1"), Failed("root", "bad\x1b[31m", "mend it"),
                    Skipped("source", "offline")};
  EXPECT_EQ(FindingsText(findings, Paint(false)),
            "ok    kernel: 6.1\n"
            "FAIL  root: bad?[31m\n"
            "        mend it\n"
            "skip  source: offline\n"
            "3 checks: 1 failure, 0 warnings; 1 skipped\n");
  EXPECT_THAT(FindingsText(findings, Paint(true)), HasSubstr("\x1b[31mFAIL\x1b[0m  root"));
  EXPECT_EQ(FindingsText(std::span(findings).first(1), Paint(false)),
            "ok    kernel: 6.1\n1 check: nothing is wrong\n");
}

}  // namespace
}  // namespace weighhouse::cli
