// Several endpoints of one Hub: who is asked, what is believed, and where the token goes.

#include <atomic>
#include <functional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/source_registry.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/fixture_hub.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

constexpr char kMirrorToken[] = "hf_canary_of_mirrors";

Credentials MirrorToken() { return {.values = {{"HF_TOKEN", kMirrorToken}}}; }

/// An endpoint that says what the test wants, and a true Hub as its mirror.
class HubMirrorsTest : public testing::Test {
 protected:
  HubMirrorsTest()
      : endpoint_([this](const Request&) {
          int status = status_;
          std::vector<std::string> headers;
          if (status == 429) headers = {"Retry-After: 60"};
          return Reply{HttpAnswer(status, headers, "")};
        }) {
    WriteTestFile(models_ / "org/name/config.json", "{}");
    WriteTestFile(models_ / "org/name/model.safetensors", PatternBytes(100'000, 1));
    WriteTestFile(models_ / "org/private/config.json", "{}");
    WriteTestFile(models_ / "org/private/.fixture.json", R"({"private": true})");
    hub_ = FixtureHub::Start(models_.path().string(), {"--token", kMirrorToken}).value();
    Use({.hub_endpoint = endpoint_.Url(""), .hub_mirrors = {hub_->hub_url()}});
  }
  void Use(SourceOptions options) {
    options.allow_addresses = LoopbackAddresses();
    registry_ = SourceRegistry::Create(options).value();
    source_ = registry_->For({.uri = "hf://org/name"}).value();
  }
  Result<Listing> Resolve(const std::string& name = "name", const Credentials& credentials = {}) {
    return source_->Resolve({.uri = "hf://org/" + name}, credentials, {});
  }

  std::atomic<int> status_ = 503;
  TemporaryDirectory models_;
  std::unique_ptr<FixtureHub> hub_;
  ScriptedServer endpoint_;
  std::unique_ptr<SourceRegistry> registry_;
  std::shared_ptr<Source> source_;
};

TEST_F(HubMirrorsTest, AsksTheMirrorWhileTheEndpointIsAwayUnderTheEndpointsName) {
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->origin, "hf+" + endpoint_.Url("/org/name"));
  EXPECT_EQ(listing->revision, hub_->Commit("org/name"));
  auto location = source_->Locate({.uri = "hf://org/name"}, *listing, listing->files[1], {}, {});
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_TRUE(location->url.starts_with(hub_->cdn_url()));
  EXPECT_EQ(endpoint_.Requests().size(), 1U) << "one that is away is asked last for a while";
}

TEST_F(HubMirrorsTest, AnEndpointThatSaysWhenToComeBackIsNotAwayForOthers) {
  status_ = 429;
  ASSERT_TRUE(Resolve()) << "the mirror helps whom the budget is used up for";
  status_ = 404;
  auto other = Resolve("name", MirrorToken());
  ASSERT_FALSE(other) << "the endpoint is asked first, and its word counts";
  EXPECT_EQ(other.error().code, Code::kNotFound);
}

TEST_F(HubMirrorsTest, TakesTheEndpointsNoForFinal) {
  for (auto [status, code] :
       {std::pair{401, Code::kUnauthenticated}, std::pair{403, Code::kPermissionDenied},
        std::pair{404, Code::kNotFound}}) {
    status_ = status;
    Use({.hub_endpoint = endpoint_.Url(""), .hub_mirrors = {hub_->hub_url()}});
    hub_->Reset();
    auto listing = Resolve();
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, code);
    EXPECT_EQ(hub_->Stat("api_calls"), 0) << status;
  }
}

TEST_F(HubMirrorsTest, TakesAMirrorsNoForNone) {
  for (const auto& [name, credentials] :
       {std::pair{"missing", MirrorToken()}, std::pair{"private", Credentials{}}}) {
    auto listing = Resolve(name, credentials);
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, Code::kUnavailable) << listing.error().message;
    EXPECT_THAT(listing.error().message, HasSubstr("HTTP 503"));
    EXPECT_THAT(listing.error().message, HasSubstr(hub_->hub_url() + ": hf://org/"));
  }
}

TEST_F(HubMirrorsTest, AsksTheEndpointAgainBeforeItBelievesAMirrorsNo) {
  ASSERT_TRUE(Resolve());
  status_ = 404;
  auto listing = Resolve("missing", MirrorToken());
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kNotFound);
}

TEST_F(HubMirrorsTest, SendsTheTokenToListedEndpointsOnly) {
  ScriptedServer stranger([](const Request&) { return Reply{HttpAnswer(200, {}, "{}")}; });
  ScriptedServer mirror([&](const Request& request) {
    return Reply{HttpAnswer(307, {"Location: " + stranger.Url(request.target, "localhost")}, "")};
  });
  Use({.hub_endpoint = endpoint_.Url(""), .hub_mirrors = {mirror.Url(""), hub_->hub_url()}});
  auto listing = Resolve("private", MirrorToken());
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_THAT(mirror.Requests().at(0).head, HasSubstr(kMirrorToken));
  EXPECT_THAT(stranger.Requests().at(0).head, Not(HasSubstr("canary")));
}

TEST_F(HubMirrorsTest, AsksNobodyOffline) {
  Use({.hub_endpoint = hub_->hub_url(), .hub_mirrors = {hub_->hub_url()}, .hub_offline = true});
  hub_->Reset();
  auto listing = Resolve();
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kUnavailable);
  EXPECT_THAT(listing.error().message, HasSubstr("sources.huggingface.offline"));
  EXPECT_EQ(hub_->Stat("api_calls"), 0);
  ASSERT_TRUE(registry_->Allow({.hub_offline = false}));
  EXPECT_TRUE(Resolve()) << "a source that is used already is back too";
}

TEST_F(HubMirrorsTest, RefusesAMirrorThatIsNoUrl) {
  auto registry = SourceRegistry::Create({.hub_endpoint = hub_->hub_url(), .hub_mirrors = {"x"}});
  ASSERT_FALSE(registry);
  EXPECT_EQ(registry.error().code, Code::kInvalidArgument);
}

const std::string kMirrorCommit(40, 'd');
const std::string kMirrorEntry = fmt::format(
    R"({{"type":"file","path":"config.json","size":2,"oid":"{}"}})", std::string(40, 'a'));

Result<Listing> ListOf(const ScriptedServer& mirror, const Credentials& credentials) {
  auto registry = SourceRegistry::Create(
      {.hub_endpoint = mirror.Url(""), .allow_addresses = LoopbackAddresses()});
  ModelReference model{.uri = "hf://org/name"};
  return (*registry)->For(model).value()->Resolve(model, credentials, {});
}

/// A gated model of a mirror that says nothing of its own about files: of each it answers `file`.
ScriptedServer::Script GatedMirror(std::function<Reply(const Request&)> file) {
  return [file = std::move(file)](const Request& request) {
    if (request.target.contains("/revision/")) {
      return Reply{
          HttpAnswer(200, {}, fmt::format(R"({{"sha":"{}","gated":"auto"}})", kMirrorCommit))};
    }
    if (request.target.contains("/tree/"))
      return Reply{HttpAnswer(200, {}, "[" + kMirrorEntry + "]")};
    return file(request);
  };
}

TEST(GatedMirrorTest, APageInTheFilesPlaceShowsNoRightToAGatedModel) {
  ScriptedServer elsewhere(
      [](const Request&) { return Reply{HttpAnswer(200, {}, "log in here")}; });
  auto login = [](const Request& request) {
    if (request.target == "/login") {
      return Reply{request.method == "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"
                                            : HttpAnswer(200, {}, "log in here")};
    }
    return Reply{HttpAnswer(302, {"Location: /login"}, "")};
  };
  auto sent_away = [&](const Request&) {
    return Reply{HttpAnswer(302, {"Location: " + elsewhere.Url("/sso", "localhost")}, "")};
  };
  for (const auto& file : {std::function<Reply(const Request&)>(login), {sent_away}}) {
    ScriptedServer mirror(GatedMirror(file));
    auto listing = ListOf(mirror, {});
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, Code::kPermissionDenied) << listing.error().message;
    EXPECT_TRUE(listing.error().rights_may_help);
    EXPECT_THAT(listing.error().message, HasSubstr("something of 11 bytes"));
  }
}

TEST(GatedMirrorTest, TheFilesSizeShowsTheRightToAGatedModelOfAMirror) {
  ScriptedServer store(
      [](const Request&) { return Reply{HttpAnswer(206, {"Content-Range: bytes 0-0/2"}, "{")}; });
  auto here = [](const Request& request) {
    return Reply{request.method == "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                                          : HttpAnswer(200, {}, "{}")};
  };
  auto sizeless = [](const Request& request) {
    return Reply{request.method == "HEAD" ? "HTTP/1.1 200 OK\r\n\r\n"
                                          : HttpAnswer(206, {"Content-Range: bytes 0-0/2"}, "{")};
  };
  auto there = [&](const Request&) {
    return Reply{HttpAnswer(302, {"Location: " + store.Url("/object", "localhost")}, "")};
  };
  for (const auto& file : {std::function<Reply(const Request&)>(here), {sizeless}, {there}}) {
    ScriptedServer mirror(GatedMirror(file));
    auto listing = ListOf(mirror, MirrorToken());
    EXPECT_TRUE(listing) << listing.error().message;
  }
  ASSERT_FALSE(store.Requests().empty());
  EXPECT_THAT(store.Requests().at(0).head, Not(HasSubstr("canary")));
}

/// A Hub with few requests in a window.
TEST(HubBudgetTest, IsSharedByAllWhoAskAndEndsBeforeTheServerRefuses) {
  TemporaryDirectory models;
  for (int i = 0; i < 30; ++i) WriteTestFile(models / fmt::format("org/name/f{:02}", i), "x");
  auto hub =
      FixtureHub::Start(models.path().string(), {"--resolve-quota", "6", "--quota-window", "300"})
          .value();
  auto registry = SourceRegistry::Create({.hub_endpoint = hub->hub_url()}).value();
  auto source = registry->For({.uri = "hf://org/name"}).value();
  Listing listing = source->Resolve({.uri = "hf://org/name"}, {}, {}).value();
  hub->Reset();
  int located = 0;
  Error error;
  for (const ListedFile& file : listing.files) {
    auto location = source->Locate({.uri = "hf://org/name"}, listing, file, {}, {});
    located += location ? 1 : 0;
    if (!location) error = location.error();
  }
  EXPECT_GE(located, 4);
  EXPECT_LE(located, 6);
  EXPECT_EQ(error.code, Code::kUnavailable);
  ASSERT_TRUE(error.retry_after.has_value());
  EXPECT_GT(*error.retry_after, std::chrono::seconds(4));
  EXPECT_THAT(error.message, HasSubstr("budget of 'resolvers' requests (6 in a window)"));
  EXPECT_EQ(hub->Stat("resolve_calls"), located) << "what can't succeed isn't sent";
  EXPECT_TRUE(source->Resolve({.uri = "hf://org/name"}, {}, {})) << "another class, another budget";
}

}  // namespace
}  // namespace weighhouse::source
