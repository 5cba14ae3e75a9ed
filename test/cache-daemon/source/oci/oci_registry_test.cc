// The protocol's details, against a registry that says what a test scripts.

#include "cache-daemon/source/oci/oci_registry.h"

#include <atomic>
#include <functional>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source::oci {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

const std::string kManifestHeader = "Content-Type: application/vnd.oci.image.manifest.v1+json";
const std::string kIndexHeader = "Content-Type: application/vnd.oci.image.index.v1+json";

std::string NamedBy(const std::string& bytes) { return "sha256:" + Digest::Of(bytes).Hex(); }

std::string ManifestOf(const std::string& content) {
  return fmt::format(
      R"({{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.oci.empty.v1+json",
          "digest": "{}", "size": 2}}, "layers": [{{"mediaType": "application/octet-stream",
          "digest": "{}", "size": {},
          "annotations": {{"org.opencontainers.image.title": "w.bin"}}}}]}})",
      NamedBy("{}"), NamedBy(content), content.size());
}

std::string IndexOf(const std::string& manifest) {
  return fmt::format(R"({{"manifests": [{{"mediaType": "m", "digest": "{}", "size": {}}}]}})",
                     NamedBy(manifest), manifest.size());
}

Reply Denied(const std::string& challenge) {
  return {HttpAnswer(401, {"WWW-Authenticate: " + challenge},
                     R"({"errors": [{"code": "UNAUTHORIZED", "message": "no"}]})")};
}

bool HasHeader(const Request& request, const std::string& line) {
  return (request.head + "\r\n").contains("\r\n" + line);
}

/// A registry of one repository, org/name, whose `latest` is `kContent` in a file.
class RegistryTest : public testing::Test {
 protected:
  using Guard = std::function<std::optional<Reply>(const Request&)>;

  RegistryTest() : server_([this](const Request& request) { return Serve(request); }) {}

  ModelReference Model(const std::string& revision = "") const {
    std::string address = server_.Url("").substr(std::string("http://").size());
    return {.uri = "oci://" + address + "/org/name", .revision = revision};
  }
  Credentials Login() const {
    return {.values = {{"username", "user"}, {"password", "canary-password"}}};
  }
  Result<Listing> Resolve(const std::string& revision = "", const Credentials& credentials = {}) {
    return source_.Resolve(Model(revision), credentials, {});
  }
  Result<FileLocation> Locate(const Listing& listing, const Credentials& credentials = {}) {
    return source_.Locate(Model(), listing, listing.files.front(), credentials, {});
  }
  std::vector<Request> RequestsFor(const std::string& part) const {
    std::vector<Request> found;
    for (const Request& request : server_.Requests()) {
      if (request.target.contains(part)) found.push_back(request);
    }
    return found;
  }

  const std::string kContent = "0123456789";
  const std::string manifest_ = ManifestOf(kContent);
  /// Looks at each request first.
  Guard guard_ = [](const Request&) { return std::nullopt; };
  std::map<std::string, Reply> extra_;  ///< by the target
  ScriptedServer server_;
  OciRegistry source_{PlainHttp::kLoopbackOnly,
                      std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()})};

 private:
  Reply Serve(const Request& request) {
    if (std::optional<Reply> reply = guard_(request)) return *std::move(reply);
    if (auto found = extra_.find(request.target); found != extra_.end()) return found->second;
    if (request.target == "/v2/") return {HttpAnswer(200, {}, "{}")};
    if (request.target == "/v2/org/name/manifests/latest" ||
        request.target == "/v2/org/name/manifests/" + NamedBy(manifest_)) {
      return {HttpAnswer(200, {kManifestHeader}, manifest_)};
    }
    if (request.target == "/v2/org/name/blobs/" + NamedBy(kContent)) {
      return {HttpAnswer(206, {fmt::format("Content-Range: bytes 0-0/{}", kContent.size())}, "0")};
    }
    return {
        HttpAnswer(404, {}, R"({"errors": [{"code": "MANIFEST_UNKNOWN", "message": "gone"}]})")};
  }
};

TEST_F(RegistryTest, ListsByTheManifestsDigest) {
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->revision, NamedBy(manifest_));
  EXPECT_EQ(listing->origin, "oci+" + server_.Url("/org/name"));
  EXPECT_TRUE(listing->anonymous);
  ASSERT_EQ(listing->files.size(), 1U);
  EXPECT_EQ(listing->files[0].identity.value, Digest::Of(kContent).Hex());
  EXPECT_THAT(RequestsFor("/manifests/")[0].head,
              HasSubstr("application/vnd.oci.image.index.v1+json"));
  auto again = Resolve(listing->revision);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->SnapshotId(), listing->SnapshotId());
}

TEST_F(RegistryTest, FollowsAnIndexToTheManifestThatCounts) {
  extra_["/v2/org/name/manifests/v1"] = {HttpAnswer(200, {kIndexHeader}, IndexOf(manifest_))};
  auto listing = Resolve("v1");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->revision, NamedBy(manifest_));
}

TEST_F(RegistryTest, RefusesBytesThatTheirDigestDoesNotName) {
  std::string other = ManifestOf("other");
  extra_["/v2/org/name/manifests/" + NamedBy(manifest_)] = {
      HttpAnswer(200, {kManifestHeader, "Docker-Content-Digest: " + NamedBy(manifest_)}, other)};
  extra_["/v2/org/name/manifests/v1"] = {HttpAnswer(200, {kIndexHeader}, IndexOf(manifest_))};
  for (const std::string& revision : {NamedBy(manifest_), std::string("v1")}) {
    auto listing = Resolve(revision);
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, Code::kDataLoss);
    EXPECT_THAT(listing.error().message, HasSubstr("want " + NamedBy(manifest_)));
    EXPECT_THAT(listing.error().message, HasSubstr("got " + NamedBy(other)));
  }
}

TEST_F(RegistryTest, BoundsIndexesWithinIndexes) {
  std::string inner = IndexOf(manifest_);
  for (int i = 0; i < 4; ++i) {
    extra_["/v2/org/name/manifests/" + NamedBy(inner)] = {HttpAnswer(200, {kIndexHeader}, inner)};
    std::string name = "v" + std::to_string(i);
    extra_["/v2/org/name/manifests/" + name] = {HttpAnswer(200, {kIndexHeader}, inner)};
    inner = IndexOf(inner);
  }
  EXPECT_TRUE(Resolve("v2"));
  auto too_deep = Resolve("v3");
  ASSERT_FALSE(too_deep);
  EXPECT_THAT(too_deep.error().message, HasSubstr("deep"));
}

TEST_F(RegistryTest, RefusesNamesThatLeaveTheTree) {
  std::string hostile = manifest_;
  hostile.replace(hostile.find("w.bin"), 5, "../w.bin");
  extra_["/v2/org/name/manifests/v1"] = {HttpAnswer(200, {kManifestHeader}, hostile)};
  auto listing = Resolve("v1");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
}

TEST_F(RegistryTest, FetchesATokenWithAndWithoutALogin) {
  std::string realm = server_.Url("/token");
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (request.target.starts_with("/token?")) {
      bool known = HasHeader(request, "Authorization: Basic dXNlcjpjYW5hcnktcGFzc3dvcmQ=");
      return Reply{HttpAnswer(
          200, {}, fmt::format(R"({{"token": "{}", "expires_in": 300}})", known ? "mine" : "any"))};
    }
    if (!request.target.contains("/manifests/") && !request.target.contains("/blobs/")) return {};
    bool granted = HasHeader(request, "Authorization: Bearer mine\r\n") ||
                   HasHeader(request, "Authorization: Bearer any\r\n");
    if (granted) return {};
    return Denied(fmt::format(
        R"(Bearer realm="{}",service="the service",scope="repository:org/name:pull")", realm));
  };
  auto anonymous = Resolve();
  ASSERT_TRUE(anonymous) << anonymous.error().message;
  EXPECT_TRUE(anonymous->anonymous);
  auto own = Resolve("", Login());
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_FALSE(own->anonymous);
  ASSERT_EQ(RequestsFor("/token").size(), 2U);
  EXPECT_THAT(RequestsFor("/token")[0].target,
              HasSubstr("service=the%20service&scope=repository%3Aorg%2Fname%3Apull"));
  // Kept: neither is asked for again, and neither is the other's.
  EXPECT_TRUE(Resolve());
  auto location = Locate(*own, Login());
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(RequestsFor("/token").size(), 2U);
  EXPECT_THAT(location->headers, testing::ElementsAre("Authorization: Bearer mine"));
  EXPECT_TRUE(location->authorised);
  auto left = location->expires_at - steady_clock::now();
  EXPECT_GT(left, seconds(200));
  EXPECT_LT(left, seconds(300));
}

TEST_F(RegistryTest, RenewsATokenThatEndedBeforeItsTime) {
  std::atomic<int> tokens = 0;
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (request.target.starts_with("/token?")) {
      return Reply{HttpAnswer(200, {}, fmt::format(R"({{"access_token": "t{}"}})", ++tokens))};
    }
    if (!request.target.contains("/manifests/")) return {};
    if (HasHeader(request, fmt::format("Authorization: Bearer t{}\r\n", tokens.load()))) return {};
    return Denied(fmt::format(R"(Bearer realm="{}")", server_.Url("/token")));
  };
  ASSERT_TRUE(Resolve());
  EXPECT_THAT(RequestsFor("/token")[0].target, HasSubstr("scope=repository%3Aorg%2Fname%3Apull"));
  ++tokens;  // the one at hand means nothing any more
  auto listing = Resolve();
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(RequestsFor("/token").size(), 2U);
}

TEST_F(RegistryTest, ExchangesAnIdentityToken) {
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (request.target == "/token") {
      EXPECT_EQ(request.method, "POST");
      // Its body is not read here: the connection must end with it.
      return Reply{HttpAnswer(200, {"Connection: close"}, R"({"access_token": "exchanged"})"),
                   Reply::Then::kClose};
    }
    if (!request.target.contains("/manifests/")) return {};
    if (HasHeader(request, "Authorization: Bearer exchanged\r\n")) return {};
    return Denied(fmt::format(R"(Bearer realm="{}",service="s")", server_.Url("/token")));
  };
  std::string address = server_.Url("").substr(7);
  Credentials credentials{
      .values = {{".dockerconfigjson",
                  fmt::format(R"({{"auths": {{"{}": {{"identitytoken": "canary-identity"}}}}}})",
                              address)}}};
  auto listing = Resolve("", credentials);
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_FALSE(listing->anonymous);
  EXPECT_THAT(RequestsFor("/token")[0].head, Not(HasSubstr("canary-identity")));
}

TEST_F(RegistryTest, KeepsADecodedPasswordOutOfErrors) {
  guard_ = [](const Request& request) -> std::optional<Reply> {
    if (request.target == "/v2/") return {};
    if (!HasHeader(request, "Authorization: Basic ")) return Denied(R"(Basic realm="x")");
    return Reply{HttpAnswer(
        403, {},
        R"({"errors": [{"code": "DENIED", "message": "no to user with canary-password"}]})")};
  };
  auto listing = Resolve("", Login());
  ASSERT_FALSE(listing);
  EXPECT_THAT(listing.error().message, HasSubstr("no to user with [secret]"));
  guard_ = [](const Request&) -> std::optional<Reply> { return Denied("X canary-password"); };
  auto unknown = Resolve("", Login());
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("isn't known here: 'X [secret]'"));
}

TEST_F(RegistryTest, AnswersBasicOnlyWhenChallenged) {
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (!request.target.contains("/manifests/") && !request.target.contains("/blobs/")) return {};
    if (HasHeader(request, "Authorization: Basic dXNlcjpjYW5hcnktcGFzc3dvcmQ=\r\n")) return {};
    return Denied(R"(Basic realm="x")");
  };
  auto listing = Resolve("", Login());
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_THAT(RequestsFor("/manifests/")[0].head, Not(HasSubstr("Authorization")));
  auto location = Locate(*listing, Login());
  ASSERT_TRUE(location);
  EXPECT_EQ(location->expires_at, steady_clock::time_point::max());
  auto refused = Resolve();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnauthenticated);
  EXPECT_TRUE(refused.error().rights_may_help);
  EXPECT_THAT(refused.error().message, HasSubstr("`username` and `password`"));
}

TEST_F(RegistryTest, SendsNoLoginToARealmOnPlainHttpElsewhere) {
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (!request.target.contains("/manifests/")) return {};
    return Denied(R"(Bearer realm="http://auth.example.invalid/token")");
  };
  auto listing = Resolve("", Login());
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kUnauthenticated);
  EXPECT_THAT(listing.error().message, HasSubstr("plain http"));
}

TEST_F(RegistryTest, KeepsTheAuthorizationFromOtherOrigins) {
  std::string elsewhere = server_.Url("/storage?X-Amz-Signature=s", "localhost");
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (request.target.starts_with("/storage")) return Reply{HttpAnswer(200, {}, kContent)};
    if (!request.target.contains("/manifests/") && !request.target.contains("/blobs/")) return {};
    if (!HasHeader(request, "Authorization: Basic ")) return Denied("Basic");
    if (request.target.contains("/blobs/")) {
      return Reply{HttpAnswer(307, {"Location: " + elsewhere}, "")};
    }
    return {};
  };
  auto listing = Resolve("", Login());
  ASSERT_TRUE(listing) << listing.error().message;
  auto location = Locate(*listing, Login());
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, elsewhere);
  EXPECT_TRUE(location->headers.empty());
  EXPECT_FALSE(location->authorised);
  EXPECT_NE(location->expires_at, steady_clock::time_point::max());
}

TEST_F(RegistryTest, NoticesABlobOfAnotherSize) {
  auto listing = Resolve();
  ASSERT_TRUE(listing);
  ListedFile larger = listing->files.front();
  larger.size += 1;
  auto location = source_.Locate(Model(), *listing, larger, {}, {});
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kOutOfRange);
}

TEST_F(RegistryTest, TellsItsAnswersApart) {
  struct {
    int status;
    bool with_login;
    Code code;
    const char* says;
  } const kCases[] = {
      {401, false, Code::kUnauthenticated, "needs a login"},
      {401, true, Code::kUnauthenticated, "doesn't let this login"},
      {403, false, Code::kUnauthenticated, "needs a login"},
      {403, true, Code::kPermissionDenied, "doesn't let this login"},
      {404, true, Code::kNotFound, "NAME_UNKNOWN"},
      {429, false, Code::kUnavailable, "fewer requests"},
      {500, false, Code::kUnavailable, "has trouble"},
      {400, false, Code::kFailedPrecondition, "refuses"},
  };
  for (const auto& each : kCases) {
    guard_ = [&](const Request& request) -> std::optional<Reply> {
      if (!request.target.contains("/manifests/")) return {};
      return Reply{HttpAnswer(
          each.status, {"Retry-After: 7"},
          R"({"errors": [{"code": "NAME_UNKNOWN", "message": "about canary-password"}]})")};
    };
    auto listing = Resolve("", each.with_login ? Login() : Credentials{});
    ASSERT_FALSE(listing) << each.status;
    EXPECT_EQ(listing.error().code, each.code) << each.status;
    EXPECT_THAT(listing.error().message, HasSubstr(each.says));
    EXPECT_EQ(listing.error().retry_after.has_value(), each.code == Code::kUnavailable);
  }
}

TEST_F(RegistryTest, SaysThatATokenServerRefusesWithoutSayingTheLogin) {
  guard_ = [&](const Request& request) -> std::optional<Reply> {
    if (request.target.starts_with("/token")) {
      return Reply{HttpAnswer(
          401, {}, R"({"errors": [{"code": "X", "message": "not canary-password, user"}]})")};
    }
    if (!request.target.contains("/manifests/")) return {};
    return Denied(fmt::format(R"(Bearer realm="{}")", server_.Url("/token")));
  };
  auto listing = Resolve("", Login());
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kUnauthenticated);
  EXPECT_THAT(listing.error().message, HasSubstr("[secret]"));
  EXPECT_THAT(listing.error().message, Not(HasSubstr("canary-password")));
}

TEST(TokenTest, KeepsAMarginBeforeItsEnd) {
  steady_clock::time_point now = steady_clock::now();
  auto life = [&](const std::string& json) -> std::chrono::milliseconds {
    auto token = ParseToken(json, now);
    if (!token) return seconds(-1);
    return std::chrono::duration_cast<std::chrono::milliseconds>(token->expires_at - now);
  };
  EXPECT_EQ(life(R"({"token": "t"})"), seconds(45));
  EXPECT_EQ(life(R"({"token": "t", "expires_in": 300})"), seconds(240));
  EXPECT_EQ(life(R"({"access_token": "t", "expires_in": 20})"), seconds(15));
  EXPECT_EQ(life(R"({"token": "t", "expires_in": 2})"), std::chrono::milliseconds(1500));
  EXPECT_EQ(life(R"({"token": "t", "expires_in": 1e300})"), seconds(45));
  EXPECT_EQ(life(R"({"token": "t", "expires_in": 18446744073709551615})"), seconds(86'340));
  for (const char* bad : {"", "[]", "{}", R"({"token": ""})", R"({"token": "a b"})",
                          R"({"token": "a\r\nX: y"})", R"({"token": 1})"}) {
    EXPECT_EQ(life(bad), seconds(-1)) << bad;
  }
}

}  // namespace
}  // namespace weighhouse::source::oci
