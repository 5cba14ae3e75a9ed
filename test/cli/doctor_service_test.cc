#include <cerrno>
#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cli/sound_node.h"

namespace weighhouse::cli {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;
using enum CheckState;
using testing::HasSubstr;
using testing::Not;

TEST(DoctorServiceTest, SaysWhatIsWrongWithASocket) {
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

TEST(DoctorServiceTest, ExpectsNoDaemonWhereARootIsGiven) {
  Facts facts = SoundNode();
  facts.admin = SocketFacts{.path = facts.admin_path, .stat_error = ENOENT};
  facts.node = facts.admin;
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("fail admin-socket", "fail node-socket"));
  facts.without_daemon = true;
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("skip admin-socket", "skip node-socket"));
}

TEST(DoctorServiceTest, TellsWhatTheDaemonSaysOfItself) {
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

TEST(DoctorServiceTest, TellsWhereTheWayToTheSourceEnds) {
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

TEST(DoctorServiceTest, NeedsAuthoritiesForHttpsOnly) {
  AuthoritiesFacts missing{.file = "/ca.pem", .read_error = ENOENT};
  ExpectIs(JudgeAuthorities(missing, true), kFail, "/ca.pem", "ca-certificates");
  EXPECT_EQ(JudgeAuthorities(missing, false).state, kWarn);
  ExpectIs(JudgeAuthorities({.file = "/ca.pem"}, true), kFail, "no certificate", "sources.caFile");
}

TEST(DoctorServiceTest, ComparesTheClock) {
  sys_seconds built(seconds(1'700'000'000)), now = built + seconds(60);
  ExpectIs(JudgeClock(now, built, {}), kOk, "2023-11-14 22:14:20 UTC", "");
  EXPECT_EQ(JudgeClock(now, built, seconds(-30)).state, kOk);
  ExpectIs(JudgeClock(now, built, seconds(31)), kWarn, "31 s ahead of", "NTP");
  ExpectIs(JudgeClock(now, built, seconds(-301)), kFail, "behind", "NTP");
  ExpectIs(JudgeClock(built - seconds(1), built, seconds(0)), kFail, "before this program", "NTP");
}

TEST(DoctorServiceTest, LeavesTheSourceOutWhenTold) {
  Facts facts = SoundNode();
  facts.source.reset();
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("fail source"));
  facts.source_left_out = "left out by --offline";
  EXPECT_THAT(Wrong(Judge(facts)), testing::ElementsAre("skip source"));
  EXPECT_EQ(Named(Judge(facts), "clock").state, kOk);
  facts.authorities = {.file = "/ca.pem", .read_error = ENOENT};
  EXPECT_EQ(Named(Judge(facts), "certificate-authorities").state, kWarn) << "for another source";
}

}  // namespace
}  // namespace weighhouse::cli
