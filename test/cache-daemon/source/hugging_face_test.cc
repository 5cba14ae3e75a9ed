#include "cache-daemon/source/hugging_face.h"

#include <atomic>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/fixture_hub.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kToken[] = "hf_canary_of_the_test";

std::shared_ptr<Source> HubSource(const std::string& endpoint) {
  auto registry =
      SourceRegistry::Create({.hub_endpoint = endpoint, .allow_addresses = LoopbackAddresses()});
  EXPECT_TRUE(registry) << registry.error().message;
  return (*registry)->For({.uri = "hf://org/name"}).value();
}

Credentials WithToken(const std::string& token = kToken) {
  return {.values = {{"HF_TOKEN", token}}};
}

/// A fixture Hub with models of every kind.
class HuggingFaceTest : public testing::Test {
 protected:
  HuggingFaceTest() {
    for (const char* model : {"public", "private", "gated", "disabled", "old"}) {
      std::string directory = std::string("org/") + model + "/";
      WriteTestFile(models_ / (directory + "config.json"), "{\"model\": 1}");
      WriteTestFile(models_ / (directory + "model.safetensors"), weights_);
      WriteTestFile(models_ / (directory + "sub dir/ü.txt"), "text");
    }
    WriteTestFile(models_ / "org/private/.fixture.json", R"({"private": true})");
    WriteTestFile(models_ / "org/gated/.fixture.json",
                  fmt::format(R"({{"gated": "manual", "granted": ["{}"]}})", kToken));
    WriteTestFile(models_ / "org/disabled/.fixture.json", R"({"disabled": true})");
    WriteTestFile(models_ / "org/old/.fixture.json", R"({"renamed_to": "org/public"})");
    WriteTestFile(models_ / "org/refs/config.json", "{}");
    WriteTestFile(models_ / "org/refs/.fixture.json",
                  R"({"refs": {"v1.0": "main", "refs/pr/4": "main"}})");
    auto hub = FixtureHub::Start(models_.path().string(), {"--page-size", "2", "--token", kToken,
                                                           "--token", "hf_other_token"});
    EXPECT_TRUE(hub) << hub.error().message;
    hub_ = std::move(hub).value();
    source_ = HubSource(hub_->hub_url());
  }

  Result<Listing> Resolve(const std::string& name, const Credentials& credentials = {},
                          const std::string& revision = "") {
    return source_->Resolve({.uri = "hf://org/" + name, .revision = revision}, credentials, {});
  }
  Error FailureOf(const std::string& name, const Credentials& credentials = {},
                  const std::string& revision = "") {
    auto listing = Resolve(name, credentials, revision);
    EXPECT_FALSE(listing);
    return listing ? Error{} : listing.error();
  }
  Result<FileLocation> Locate(const Listing& listing, const std::string& path,
                              const Credentials& credentials = {}) {
    for (const ListedFile& file : listing.files) {
      if (file.path == path) {
        return source_->Locate({.uri = "hf://" + listing.repository}, listing, file, credentials,
                               {});
      }
    }
    return Fail(Code::kNotFound, path);
  }
  std::string Fetch(const FileLocation& location) {
    auto transport = CreateTransport({.policy = LoopbackPolicy()}).value();
    RecordingSink sink;
    TransferEnd end = Bring(*transport, location, std::nullopt, sink);
    EXPECT_TRUE(end.status) << end.status.error().message;
    return sink.bytes();
  }

  const std::string weights_ = PatternBytes(300'000, 1);
  TemporaryDirectory models_;
  std::unique_ptr<FixtureHub> hub_;
  std::shared_ptr<Source> source_;
};

TEST_F(HuggingFaceTest, ResolvesABranchToACommitAndListsAllPages) {
  auto listing = Resolve("public");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->revision, hub_->Commit("org/public"));
  EXPECT_EQ(listing->repository, "org/public");
  EXPECT_EQ(listing->origin, "hf+" + hub_->hub_url() + "/org/public");
  EXPECT_TRUE(listing->anonymous);
  ASSERT_EQ(listing->files.size(), 3U);
  EXPECT_EQ(listing->files[0].path, "config.json");
  EXPECT_EQ(listing->files[0].identity.kind, FileIdentity::Kind::kGitSha1);
  EXPECT_EQ(listing->files[1].path, "model.safetensors");
  EXPECT_EQ(listing->files[1].size, weights_.size());
  EXPECT_EQ(listing->files[1].identity,
            (FileIdentity{FileIdentity::Kind::kSha256, Digest::Of(weights_).Hex()}));
  EXPECT_EQ(listing->files[2].path, "sub dir/ü.txt");
}

TEST_F(HuggingFaceTest, AsksForCommitsUpstreamToo) {
  std::string commit = hub_->Commit("org/public");
  hub_->Reset();
  auto listing = Resolve("public", {}, commit);
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->revision, commit);
  EXPECT_GT(hub_->Stat("api_calls"), 0);
}

TEST_F(HuggingFaceTest, ResolvesTagsAndPullRequests) {
  for (const char* revision : {"v1.0", "refs/pr/4", "main"}) {
    auto listing = Resolve("refs", {}, revision);
    ASSERT_TRUE(listing) << revision << ": " << listing.error().message;
    EXPECT_EQ(listing->revision, hub_->Commit("org/refs"));
  }
}

TEST_F(HuggingFaceTest, FollowsARenamedRepository) {
  auto listing = Resolve("old");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->repository, "org/old");
  auto location = Locate(*listing, "model.safetensors");
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(Fetch(*location), weights_);
}

TEST_F(HuggingFaceTest, SaysWhatIsMissing) {
  Error revision = FailureOf("public", {}, "no-such-branch");
  EXPECT_EQ(revision.code, Code::kNotFound);
  EXPECT_THAT(revision.message, HasSubstr("'no-such-branch'"));
  EXPECT_EQ(FailureOf("nothing").code, Code::kUnauthenticated);
  EXPECT_EQ(FailureOf("nothing", WithToken()).code, Code::kNotFound);
  EXPECT_EQ(FailureOf("disabled").code, Code::kPermissionDenied);
}

TEST_F(HuggingFaceTest, ShowsPrivateModelsToThoseWithAToken) {
  EXPECT_EQ(FailureOf("private").code, Code::kUnauthenticated);
  Error bad = FailureOf("private", WithToken("hf_wrong"));
  EXPECT_EQ(bad.code, Code::kUnauthenticated);
  EXPECT_THAT(bad.message, Not(HasSubstr("hf_wrong")));
  auto listing = Resolve("private", WithToken());
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_FALSE(listing->anonymous);
  EXPECT_TRUE(Resolve("private", {.values = {{"token", kToken}}}));
}

TEST_F(HuggingFaceTest, TakesThePublicListingOfAGatedModelForNoRight) {
  Error stranger = FailureOf("gated");
  EXPECT_EQ(stranger.code, Code::kPermissionDenied);
  EXPECT_THAT(stranger.message,
              HasSubstr("accept the licence at " + hub_->hub_url() + "/org/gated"));
  EXPECT_EQ(FailureOf("gated", WithToken("hf_other_token")).code, Code::kPermissionDenied);
  auto listing = Resolve("gated", WithToken());
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_FALSE(listing->anonymous);
}

TEST_F(HuggingFaceTest, RefusesTokensThatWouldBreakTheRequest) {
  Error error = FailureOf("public", WithToken("hf_a\r\nX-Evil: 1"));
  EXPECT_EQ(error.code, Code::kUnauthenticated);
  EXPECT_THAT(error.message, Not(HasSubstr("X-Evil")));
}

TEST_F(HuggingFaceTest, LocatesSmallFilesAtTheHubWithTheToken) {
  Listing listing = Resolve("private", WithToken()).value();
  auto location = Locate(listing, "sub dir/ü.txt", WithToken());
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_TRUE(location->url.starts_with(hub_->hub_url()));
  EXPECT_THAT(location->headers,
              testing::ElementsAre(std::string("Authorization: Bearer ") + kToken));
  EXPECT_EQ(Fetch(*location), "text");
}

TEST_F(HuggingFaceTest, LocatesLargeFilesAtTheCdnWithoutTheToken) {
  Listing listing = Resolve("private", WithToken()).value();
  auto location = Locate(listing, "model.safetensors", WithToken());
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_TRUE(location->url.starts_with(hub_->cdn_url()));
  EXPECT_TRUE(location->headers.empty());
  auto left = location->expires_at - std::chrono::steady_clock::now();
  EXPECT_GT(left, std::chrono::minutes(40));
  EXPECT_LE(left, std::chrono::minutes(50));
  EXPECT_EQ(Fetch(*location), weights_);
  EXPECT_EQ(hub_->Stat("cdn_requests"), 1) << "locating asks only the Hub";
}

TEST_F(HuggingFaceTest, SendsTheTokenToNobodyElse) {
  Listing listing = Resolve("private", WithToken()).value();
  for (const ListedFile& file : listing.files)
    Fetch(Locate(listing, file.path, WithToken()).value());
  std::string log = hub_->Log();
  EXPECT_THAT(log, HasSubstr("\"cdn\""));
  for (size_t at = log.find("\"cdn\""); at != std::string::npos; at = log.find("\"cdn\"", at + 1)) {
    size_t begin = log.rfind('{', at), end = log.find('}', at);
    EXPECT_THAT(log.substr(begin, end - begin), HasSubstr("\"none\""));
  }
}

TEST_F(HuggingFaceTest, NoticesAFileThatIsNotTheListedOne) {
  Listing listing = Resolve("public").value();
  Listing other_size = listing, other_digest = listing;
  other_size.files[1].size += 1;
  other_digest.files[1].identity.value = std::string(64, '0');
  for (const Listing& wrong : {other_size, other_digest}) {
    auto location = Locate(wrong, "model.safetensors");
    ASSERT_FALSE(location);
    EXPECT_EQ(location.error().code, Code::kOutOfRange);
    EXPECT_THAT(location.error().message, HasSubstr("listing and file disagree"));
  }
}

TEST_F(HuggingFaceTest, AsksWithGetWhereHeadIsRefused) {
  Listing listing = Resolve("public").value();
  hub_->SetFaults(
      R"([{"side":"hub","path":"resolve","method":"HEAD","times":-1,"action":{"kind":"status","status":405}}])");
  for (const char* path : {"model.safetensors", "config.json"}) {
    auto location = Locate(listing, path);
    ASSERT_TRUE(location) << location.error().message;
    EXPECT_FALSE(Fetch(*location).empty());
  }
}

TEST_F(HuggingFaceTest, CallsTroubleTemporaryWithTheWaitThatIsAskedFor) {
  hub_->SetFaults(
      R"([{"side":"hub","path":"api","times":1,"action":{"kind":"status","status":503,"body":"<html>down</html>"}},
                      {"side":"hub","path":"api","skip":1,"times":1,"action":{"kind":"cut","after":3}},
                      {"side":"hub","path":"api","skip":2,"times":1,"action":{"kind":"status","status":429,"headers":{"RateLimit":"\"api\";r=0;t=9"}}}])");
  EXPECT_EQ(FailureOf("public").code, Code::kUnavailable);
  EXPECT_EQ(FailureOf("public").code, Code::kUnavailable);
  Error limited = FailureOf("public");
  EXPECT_EQ(limited.code, Code::kUnavailable);
  EXPECT_EQ(limited.retry_after, std::chrono::seconds(10));
}

TEST_F(HuggingFaceTest, RefusesHostileListings) {
  const std::string sha(40, 'a');
  for (const char* path :
       {"../evil", "/etc/passwd", "a\\\\b", "config.json/below", "x\\u0000y", "config.json\\n"}) {
    hub_->SetFaults(fmt::format(
        R"([{{"side":"hub","path":"tree","times":-1,"action":{{"kind":"listing","entries":[{{"type":"file","path":"{}","size":1,"oid":"{}"}}]}}}}])",
        path, sha));
    Error error = FailureOf("public");
    EXPECT_EQ(error.code, Code::kInvalidArgument) << path << ": " << error.message;
  }
}

// What no fixture of the Hub says: a server of raw answers in its place.

using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

const std::string kCommit(40, 'c');
const std::string kEntry = fmt::format(
    R"({{"type":"file","path":"config.json","size":2,"oid":"{}"}})", std::string(40, 'a'));

std::string RevisionAnswer() {
  return HttpAnswer(200, {"X-HF-Warning: topic; mind this"},
                    fmt::format(R"({{"sha":"{}","gated":false}})", kCommit));
}

TEST(ScriptedHubTest, RefusesANextPageElsewhere) {
  ScriptedServer other([](const Request&) { return Reply{HttpAnswer(200, {}, "[]")}; });
  ScriptedServer hub([&](const Request& request) {
    if (request.target.contains("/revision/")) return Reply{RevisionAnswer()};
    return Reply{HttpAnswer(200, {"Link: <" + other.Url("/next") + ">; rel=\"next\""}, "[]")};
  });
  auto listing = HubSource(hub.Url(""))->Resolve({.uri = "hf://org/name"}, WithToken(), {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_EQ(other.Requests().size(), 0U);
}

TEST(ScriptedHubTest, EndsAListingOfEndlessPages) {
  ScriptedServer hub([&](const Request& request) {
    if (request.target.contains("/revision/")) return Reply{RevisionAnswer()};
    return Reply{HttpAnswer(200, {"Link: <" + request.target + ">; rel=\"next\""}, "[]")};
  });
  auto listing = HubSource(hub.Url(""))->Resolve({.uri = "hf://org/name"}, {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
}

TEST(ScriptedHubTest, RewritesTheLinksThatAMirrorPassesOn) {
  ScriptedServer hub([&](const Request& request) {
    if (request.target.contains("/revision/")) return Reply{RevisionAnswer()};
    if (request.target.contains("cursor=2")) return Reply{HttpAnswer(200, {}, "[" + kEntry + "]")};
    return Reply{HttpAnswer(
        200, {"Link: <https://huggingface.co/api/models/org/name/tree/x?cursor=2>; rel=\"next\""},
        "[]")};
  });
  auto listing = HubSource(hub.Url("/mirror"))->Resolve({.uri = "hf://org/name"}, {}, {});
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files.size(), 1U);
  EXPECT_EQ(hub.Requests().back().target, "/mirror/api/models/org/name/tree/x?cursor=2");
}

TEST(ScriptedHubTest, RefusesAnotherCommitThanTheOneAskedFor) {
  ScriptedServer hub([&](const Request&) { return Reply{RevisionAnswer()}; });
  auto listing = HubSource(hub.Url(""))
                     ->Resolve({.uri = "hf://org/name", .revision = std::string(40, 'd')}, {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
}

TEST(ScriptedHubTest, CallsALoginPageTemporary) {
  ScriptedServer hub(
      [&](const Request&) { return Reply{HttpAnswer(200, {}, "<html>Please log in</html>")}; });
  auto listing = HubSource(hub.Url(""))->Resolve({.uri = "hf://org/name"}, {}, {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kUnavailable);
}

TEST(ScriptedHubTest, KeepsATokenThatTheServerEchoesOutOfMessages) {
  for (int status : {400, 401, 403, 404, 429, 500}) {
    ScriptedServer hub([&](const Request&) {
      return Reply{HttpAnswer(status, {std::string("X-Error-Message: you sent ") + kToken},
                              fmt::format(R"({{"error":"bad token {}"}})", kToken))};
    });
    auto listing = HubSource(hub.Url(""))->Resolve({.uri = "hf://org/name"}, WithToken(), {});
    ASSERT_FALSE(listing);
    EXPECT_THAT(listing.error().message, Not(HasSubstr("canary"))) << status;
  }
}

TEST(ScriptedHubTest, DropsTheTokenOnItsWayToAnotherHub) {
  ScriptedServer other([&](const Request& request) {
    if (request.target.contains("/revision/")) return Reply{RevisionAnswer()};
    if (request.method == "HEAD") {
      return Reply{HttpAnswer(302, {"Location: http://127.0.0.1:1/object?X-Amz-Signature=s"}, "")};
    }
    return Reply{HttpAnswer(200, {}, "[" + kEntry + "]")};
  });
  ScriptedServer mirror([&](const Request& request) {
    return Reply{HttpAnswer(308, {"Location: " + other.Url(request.target, "localhost")}, "")};
  });
  auto source = HubSource(mirror.Url(""));
  auto listing = source->Resolve({.uri = "hf://org/name"}, WithToken(), {});
  ASSERT_TRUE(listing) << listing.error().message;
  auto location =
      source->Locate({.uri = "hf://org/name"}, *listing, listing->files[0], WithToken(), {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, "http://127.0.0.1:1/object?X-Amz-Signature=s");
  EXPECT_TRUE(location->headers.empty());
  for (const Request& request : other.Requests())
    EXPECT_THAT(request.head, Not(HasSubstr("canary")));
}

TEST(ScriptedHubTest, StopsPromptly) {
  ScriptedServer hub([&](const Request&) { return Reply{"", Reply::Then::kHold}; });
  std::stop_source stop;
  std::jthread stopper([&] {
    while (hub.Requests().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  auto listing = HubSource(hub.Url(""))->Resolve({.uri = "hf://org/name"}, {}, stop.get_token());
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace weighhouse::source
