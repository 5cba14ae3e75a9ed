#include <linux/magic.h>

#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/doctor_finding.h"
#include "cli/doctor_judgements.h"

namespace weighhouse::cli {
namespace {

using enum CheckState;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using testing::HasSubstr;
using testing::Not;

/// A node on which nothing is wrong.
Facts SoundNode() {
  Facts facts;
  facts.configuration = {.file = "/etc/weighhouse/config.yaml", .present = true};
  facts.kernel = {.release = "6.1.0-13-amd64", .huge_pages = "madvise", .has_overlay = true};
  facts.limits = {.daemon = 12, .memory_locked = 8 * kMiB, .open_files = 1024};
  facts.daemon_uid = 64100;
  facts.root = "/cache";
  facts.root_facts = RootFacts{.path = "/cache",
                               .is_directory = true,
                               .owner = 64100,
                               .mode = 0755,
                               .device = 7,
                               .inode = 2,
                               .filesystem = EXT4_SUPER_MAGIC,
                               .total = 100 * kGiB,
                               .free = 50 * kGiB,
                               .inodes = 100'000,
                               .inodes_free = 90'000,
                               .has_cache = true};
  facts.probe = ProbeFacts{.uid = 64100, .read_back = true};
  facts.kubelet_dir = "/var/lib/kubelet";
  facts.kubelet =
      KubeletFacts{.path = "/var/lib/kubelet", .device = 8, .mount_point = "/", .shared = true};
  facts.admin_path = "/run/weighhouse/admin.sock";
  facts.node_path = "/run/weighhouse/node.sock";
  SocketFacts socket{.path = facts.admin_path, .is_socket = true, .owner = 64100, .mode = 0660};
  socket.info.emplace();
  socket.info->set_root_device(7);
  socket.info->set_root_inode(2);
  facts.admin = socket;
  facts.node = socket;
  facts.authorities = {.file = "/ca.pem", .certificates = 140};
  facts.source_url = "https://hub.example";
  facts.source = SourceFacts{
      .url = "https://hub.example/", .encrypted = true, .status = 200, .ahead = seconds(1)};
  facts.built = sys_seconds(seconds(1'700'000'000));
  facts.now = facts.built + seconds(86'400);
  return facts;
}

/// The finding of that name; one that fails the test if there is none.
Finding Named(const Findings& findings, std::string_view name) {
  for (const Finding& finding : findings) {
    if (finding.name == name) return finding;
  }
  ADD_FAILURE() << "no check called " << name;
  return {};
}

/// All findings that aren't ok, as "state name".
std::vector<std::string> Wrong(const Findings& findings) {
  std::vector<std::string> wrong;
  for (const Finding& finding : findings) {
    if (finding.state != kOk)
      wrong.push_back(std::string(StateName(finding.state)) + " " + finding.name);
  }
  return wrong;
}

void ExpectIs(const Finding& finding, CheckState state, std::string_view value,
              std::string_view remedy) {
  EXPECT_EQ(StateName(finding.state), StateName(state)) << finding.name << ": " << finding.value;
  EXPECT_THAT(finding.value, HasSubstr(value));
  EXPECT_THAT(finding.remedy, HasSubstr(remedy));
  EXPECT_EQ(finding.remedy.empty(), state == kOk || state == kSkip) << finding.remedy;
}

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

TEST(DoctorTest, SaysWhatIsWrongWithASocket) {
  SocketFacts sound = *SoundNode().admin;
  auto judge = [](SocketFacts socket) { return JudgeSocket("admin-socket", socket, 64100); };
  EXPECT_EQ(judge(sound).state, kOk);
  ExpectIs(judge({.path = "/s", .stat_error = ENOENT}), kFail, "does not exist", "--socket");
  ExpectIs(judge({.path = "/s"}), kFail, "no socket", "remove what is there");
  SocketFacts silent{.path = "/s", .is_socket = true, .owner = 64100, .mode = 0660};
  silent.connect_error = ECONNREFUSED;
  ExpectIs(judge(silent), kFail, "nobody listens", "start weighhouse-cached");
  silent.connect_error = EAGAIN;
  ExpectIs(judge(silent), kFail, "Resource temporarily", "restart weighhouse-cached");
  silent.connect_error = EACCES;
  ExpectIs(judge(silent), kFail, "Permission denied", "as root");
  silent.connect_error = 0;
  silent.call_error = Error{.code = Code::kDeadlineExceeded, .message = "no answer within 2 s"};
  ExpectIs(judge(silent), kFail, "no answer within 2 s", "ss -xlp");
  silent.call_error = Error{.code = Code::kPermissionDenied, .message = "uid 5 may not"};
  ExpectIs(judge(silent), kFail, "uid 5 may not", "--allow-uid");
  SocketFacts strange = sound;
  strange.owner = 12345;
  ExpectIs(judge(strange), kFail, "uid 12345", "chown 64100:64100");
  SocketFacts open = sound;
  open.mode = 0666;
  ExpectIs(judge(open), kWarn, "every user", "chmod 0660");
}

TEST(DoctorTest, ExpectsNoDaemonWhereARootIsGiven) {
  Facts facts = SoundNode();
  facts.admin = SocketFacts{.path = facts.admin_path, .stat_error = ENOENT};
  facts.node = facts.admin;
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("fail admin-socket", "fail node-socket"));
  facts.without_daemon = true;
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("skip admin-socket", "skip node-socket"));
}

TEST(DoctorTest, TellsWhatTheDaemonSaysOfItself) {
  cache::v1::InfoResponse info;
  info.mutable_configuration()->add_applies_at_restart("cache.root");
  ExpectIs(JudgeReload(info), kWarn, "cache.root", "restart");
  info.mutable_configuration()->add_warnings("cache.minFree is small");
  ExpectIs(JudgeReload(info), kWarn, "minFree is small", "status");
  info.mutable_configuration()->set_error("f:2: wrong");
  ExpectIs(JudgeReload(info), kFail, "f:2: wrong", "mend it");
  info.mutable_integrity()->set_quarantined_blobs(2);
  ExpectIs(JudgeIntegrity(info), kWarn, "2 bad files", "evict --quarantine");
  auto* damaged = info.mutable_integrity()->add_damaged();
  damaged->mutable_holder()->set_pod_name("llm-0");
  ExpectIs(JudgeIntegrity(info), kFail, "llm-0", "delete these pods");
}

TEST(DoctorTest, TellsWhereTheWayToTheSourceEnds) {
  using enum SourceFacts::Step;
  auto failed = [](SourceFacts::Step step) {
    return JudgeSource(
        {.url = "https://hub/", .proxy = "http://p:1", .step = step, .error = "why"});
  };
  ExpectIs(failed(kResolve), kFail, "through http://p:1: why", "DNS");
  ExpectIs(failed(kConnect), kFail, "why", "firewalls");
  ExpectIs(failed(kCertificate), kFail, "why", "sources.caFile");
  ExpectIs(failed(kAnswer), kFail, "why", "the server's own state");
  ExpectIs(failed(kUrl), kFail, "why", "https://");
  for (int good : {200, 302, 401, 404, 405, 501})
    EXPECT_EQ(JudgeSource({.url = "u", .status = good}).state, kOk) << good;
  ExpectIs(JudgeSource({.url = "u", .status = 503}), kFail, "HTTP 503", "mirror");
  ExpectIs(JudgeSource({.url = "u", .status = 429}), kWarn, "HTTP 429", "wait");
  Finding stranger = JudgeSource({.url = "u", .encrypted = true, .status = 407});
  ExpectIs(stranger, kFail, "HTTP 407", "password");
  EXPECT_THAT(stranger.value, Not(HasSubstr("certificate"))) << "nobody showed one";
}

TEST(DoctorTest, NeedsAuthoritiesForHttpsOnly) {
  AuthoritiesFacts missing{.file = "/ca.pem", .read_error = ENOENT};
  ExpectIs(JudgeAuthorities(missing, true), kFail, "/ca.pem", "ca-certificates");
  EXPECT_EQ(JudgeAuthorities(missing, false).state, kWarn);
  ExpectIs(JudgeAuthorities({.file = "/ca.pem"}, true), kFail, "no certificate", "sources.caFile");
}

TEST(DoctorTest, ComparesTheClock) {
  sys_seconds built(seconds(1'700'000'000)), now = built + seconds(60);
  ExpectIs(JudgeClock(now, built, {}), kOk, "2023-11-14 22:14:20 UTC", "");
  EXPECT_EQ(JudgeClock(now, built, seconds(-30)).state, kOk);
  ExpectIs(JudgeClock(now, built, seconds(31)), kWarn, "31 s ahead of", "NTP");
  ExpectIs(JudgeClock(now, built, seconds(-301)), kFail, "behind", "NTP");
  ExpectIs(JudgeClock(built - seconds(1), built, seconds(0)), kFail, "before this program", "NTP");
}

TEST(DoctorTest, LeavesTheSourceOutWhenTold) {
  Facts facts = SoundNode();
  facts.source.reset();
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("fail source"));
  facts.source_left_out = "left out by --offline";
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("skip source"));
  EXPECT_EQ(Named(Judge(facts), "clock").state, kOk);
  facts.authorities = {.file = "/ca.pem", .read_error = ENOENT};
  EXPECT_EQ(Named(Judge(facts), "certificate-authorities").state, kWarn) << "for another source";
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
