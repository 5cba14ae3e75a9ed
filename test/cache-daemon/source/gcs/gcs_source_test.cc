#include "cache-daemon/source/gcs/gcs_source.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/checksum.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/gcs/service_account.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

/// A fresh RSA key for all tests of the program.
EVP_PKEY* TestKey() {
  static EVP_PKEY* const key = EVP_RSA_gen(2048);
  return key;
}

std::string TestKeyPem() {
  BIO* out = BIO_new(BIO_s_mem());
  CHECK(PEM_write_bio_PKCS8PrivateKey(out, TestKey(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  char* text = nullptr;
  long size = BIO_get_mem_data(out, &text);
  std::string pem(text, static_cast<size_t>(size));
  BIO_free(out);
  return pem;
}

/// What `text`, base64 for URLs, stands for.
std::string FromBase64Url(std::string text) {
  std::ranges::replace(text, '-', '+');
  std::ranges::replace(text, '_', '/');
  text.resize((text.size() + 3) / 4 * 4, '=');
  return DecodeBase64(text).value();
}

std::string AccountOf(const std::string& token_uri) {
  return Json{{"type", "service_account"},
              {"client_email", "a@b.iam.gserviceaccount.com"},
              {"private_key_id", "k1"},
              {"private_key", TestKeyPem()},
              {"token_uri", token_uri}}
      .dump();
}

Json ObjectOf(const std::string& name, const std::string& generation = "7") {
  return {{"name", name}, {"size", "5"}, {"generation", generation}, {"crc32c", "4waSgw=="}};
}

std::string Answer(const Json& body) { return HttpAnswer(200, {}, body.dump()); }

class GcsCaller {
 public:
  explicit GcsCaller(const ScriptedServer& server,
                     std::map<std::string, std::string> variables = {},
                     bool node_credentials = false) {
    auto http = std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()});
    auto environment = [variables = std::move(variables)](const char* name) {
      auto found = variables.find(name);
      return found == variables.end() ? std::string() : found->second;
    };
    source_ = std::make_unique<GcsSource>(
        Url::Parse(server.Url("")).value(), GcsTokenOptions{.node_credentials = node_credentials},
        http, std::make_shared<GcsTokens>(http, http, environment));
  }
  Result<Listing> Resolve(const std::string& uri) {
    return source_->Resolve({.uri = uri}, credentials, {});
  }
  /// The rights to all of it, or to what `patterns` leave.
  Result<bool> ShowRights(const std::string& uri,
                          std::optional<std::vector<std::string>> patterns = {}) {
    ModelReference reference{.uri = uri, .allow_patterns = std::move(patterns)};
    Result<Listing> listing = source_->Resolve(reference, credentials, {});
    if (listing) listing = ApplyPatterns(*listing, reference);
    if (!listing) return std::unexpected(std::move(listing).error());
    return source_->ShowRights(reference, credentials, *listing, {});
  }
  Result<FileLocation> Locate(const std::string& uri, const Listing& listing) {
    return source_->Locate({.uri = uri}, listing, listing.files.at(0), credentials, {});
  }
  Credentials credentials;

 private:
  std::unique_ptr<GcsSource> source_;
};

TEST(GcsSourceTest, ListsAllPagesAndPinsTheGeneration) {
  ScriptedServer server([](const Request& request) {
    if (request.target.contains("/o/m%2Fa%20b?")) return Reply{Answer(ObjectOf("m/a b"))};
    if (request.target.contains("pageToken=t%2B1"))
      return Reply{Answer({{"items", {ObjectOf("m/c/d")}}})};
    return Reply{
        Answer({{"items", {ObjectOf("m/a b"), ObjectOf("m/dir/")}}, {"nextPageToken", "t+1"}})};
  });
  GcsCaller caller(server);
  auto listing = caller.Resolve("gs://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 2U);
  EXPECT_EQ(listing->files[0].path, "a b");
  EXPECT_EQ(listing->files[0].identity.value, "generation 7 of a b");
  EXPECT_EQ(listing->files[1].path, "c/d");
  EXPECT_TRUE(listing->anonymous);
  EXPECT_EQ(listing->origin, "gs+" + server.Url("") + "/bucket/m/");
  auto location = caller.Locate("gs://bucket/m", *listing);
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, server.Url("/storage/v1/b/bucket/o/m%2Fa%20b?alt=media&generation=7"));
  EXPECT_EQ(location->checksum, (ContentChecksum{ContentChecksum::Kind::kCrc32c, "e3069283"}));
  EXPECT_THAT(server.Requests().back().target, HasSubstr("generation=7"));
}

TEST(GcsSourceTest, NoticesThatTheGenerationIsGone) {
  bool gone = false;
  ScriptedServer server([&](const Request& request) {
    if (request.target.contains("/o?")) return Reply{Answer({{"items", {ObjectOf("m/a")}}})};
    return Reply{gone ? HttpAnswer(404, {}, "{}") : Answer(ObjectOf("m/a"))};
  });
  GcsCaller caller(server);
  Listing listing = caller.Resolve("gs://bucket/m").value();
  EXPECT_TRUE(caller.Locate("gs://bucket/m", listing));
  gone = true;
  EXPECT_EQ(caller.Locate("gs://bucket/m", listing).error().code, Code::kOutOfRange);
}

TEST(GcsSourceTest, RefusesHostileLists) {
  Json overlong = ObjectOf("m/" + std::string(1023, 'a')), sizeless = ObjectOf("m/a"),
       unversioned = ObjectOf("m/a");
  sizeless["size"] = 5;
  unversioned["generation"] = "x";
  for (const Json& bad : {overlong, sizeless, unversioned, ObjectOf("m/../a"), ObjectOf("x/a"),
                          ObjectOf(""), Json("m/a")}) {
    ScriptedServer server([&](const Request&) { return Reply{Answer({{"items", {bad}}})}; });
    auto listing = GcsCaller(server).Resolve("gs://bucket/m");
    ASSERT_FALSE(listing) << bad;
    EXPECT_EQ(listing.error().code, Code::kInvalidArgument) << listing.error().message;
  }
  ScriptedServer endless([](const Request&) { return Reply{Answer({{"nextPageToken", "same"}})}; });
  EXPECT_EQ(GcsCaller(endless).Resolve("gs://bucket/m").error().code, Code::kInvalidArgument);
  EXPECT_LE(endless.Requests().size(), 3U);
  std::string deep = std::string(1000, '[') + std::string(1000, ']'), many = "[";
  for (int i = 0; i < 100'000; ++i) many += "0,";
  std::string items = R"(","items":[)" + ObjectOf("m/a").dump() + "]}";
  for (const std::string& body : {std::string("<html>"), R"({"x":)" + deep + R"(,"y":")" + items,
                                  R"({"x":)" + many + R"(0],"y":")" + items}) {
    ScriptedServer page([&](const Request&) { return Reply{HttpAnswer(200, {}, body)}; });
    auto listing = GcsCaller(page).Resolve("gs://bucket/m");
    ASSERT_FALSE(listing) << body.substr(0, 20);
    EXPECT_EQ(listing.error().code, Code::kUnavailable);
  }
}

TEST(GcsSourceTest, ExchangesTheSecretsServiceAccountOnce) {
  ScriptedServer tokens([](const Request&) {
    return Reply{Answer({{"access_token", "ya29.token"}, {"expires_in", 3600}})};
  });
  ScriptedServer server([](const Request& request) {
    if (!request.head.contains("Authorization: Bearer ya29.token"))
      return Reply{HttpAnswer(401, {}, "{}")};
    return Reply{request.target.contains("/o?") ? Answer({{"items", {ObjectOf("m/a")}}})
                                                : Answer(ObjectOf("m/a"))};
  });
  GcsCaller caller(server);
  EXPECT_EQ(caller.Resolve("gs://bucket/m").error().code, Code::kUnauthenticated);
  caller.credentials = {{{"gcloud-application-credentials.json", AccountOf(tokens.Url("/token"))}}};
  auto listing = caller.Resolve("gs://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_FALSE(listing->anonymous);
  auto location = caller.Locate("gs://bucket/m", *listing);
  ASSERT_TRUE(location);
  EXPECT_TRUE(location->authorised);
  EXPECT_THAT(location->headers, Contains("Authorization: Bearer ya29.token"));
  EXPECT_LT(location->expires_at, std::chrono::steady_clock::now() + std::chrono::hours(1));
  ASSERT_EQ(tokens.Requests().size(), 1U);
  EXPECT_THAT(tokens.Requests()[0].body,
              testing::StartsWith("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
                                  "&assertion=ey"));
}

TEST(ServiceAccountTest, SignsItsClaims) {
  ServiceAccount account = ServiceAccount::Parse(AccountOf("https://oauth2.example/token")).value();
  std::string jwt = account.Assertion(std::chrono::system_clock::from_time_t(1000)).value();
  size_t first = jwt.find('.'), second = jwt.rfind('.');
  EXPECT_EQ(Json::parse(FromBase64Url(jwt.substr(0, first))),
            (Json{{"alg", "RS256"}, {"typ", "JWT"}, {"kid", "k1"}}));
  Json claims = Json::parse(FromBase64Url(jwt.substr(first + 1, second - first - 1)));
  EXPECT_EQ(claims["iss"], "a@b.iam.gserviceaccount.com");
  EXPECT_EQ(claims["aud"], "https://oauth2.example/token");
  EXPECT_EQ(claims["iat"], 1000);
  EXPECT_EQ(claims["exp"], 4600);
  std::string signature = FromBase64Url(jwt.substr(second + 1)), text = jwt.substr(0, second);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ASSERT_EQ(EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, TestKey()), 1);
  EXPECT_EQ(EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(signature.data()),
                             signature.size(), reinterpret_cast<const unsigned char*>(text.data()),
                             text.size()),
            1);
  EVP_MD_CTX_free(context);
}

TEST(GcsSourceTest, UsesTheNodesCredentialsOnlyWhereAnAdminSaysSo) {
  ScriptedServer server([](const Request& request) {
    if (request.target.contains("computeMetadata")) {
      bool asked_right = request.head.contains("Metadata-Flavor: Google");
      return Reply{asked_right ? Answer({{"access_token", "node"}, {"expires_in", 3600}})
                               : HttpAnswer(403, {}, "")};
    }
    return Reply{Answer({{"items", {ObjectOf("m/a")}}})};
  });
  std::map<std::string, std::string> variables = {
      {"GCE_METADATA_HOST", server.Url("").substr(std::string("http://").size())}};
  auto without = GcsCaller(server, variables, false).Resolve("gs://bucket/m");
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_TRUE(without->anonymous);
  EXPECT_EQ(server.Requests().size(), 1U);
  auto with = GcsCaller(server, variables, true).Resolve("gs://bucket/m");
  ASSERT_TRUE(with) << with.error().message;
  EXPECT_TRUE(with->anonymous) << "they are for all tenants";
  EXPECT_THAT(server.Requests().back().head, HasSubstr("Authorization: Bearer node"));
  EXPECT_EQ(GcsCaller(server, variables, true).ShowRights("gs://bucket/m"), true);
}

TEST(GcsSourceTest, RefusesSecretsThatCantBeUsed) {
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(400, {}, "{}")}; });
  GcsCaller caller(server);
  auto refuse = [&](const std::string& account, Code code, const char* words) {
    caller.credentials = {{{"GOOGLE_APPLICATION_CREDENTIALS", account}}};
    auto listing = caller.Resolve("gs://bucket/m");
    ASSERT_FALSE(listing) << words;
    EXPECT_EQ(listing.error().code, code) << listing.error().message;
    EXPECT_THAT(listing.error().message, HasSubstr(words));
    EXPECT_THAT(listing.error().message, Not(HasSubstr("PRIVATE")));
  };
  refuse("nonsense", Code::kUnauthenticated, "no JSON object");
  refuse(R"({"type":"authorized_user"})", Code::kUnauthenticated, "authorized_user");
  refuse(R"({"type":"service_account","client_email":"a","private_key":"b"})",
         Code::kUnauthenticated, "no RSA key");
  refuse(AccountOf("http://192.0.2.1/token"), Code::kInvalidArgument, "must be https");
  EXPECT_TRUE(server.Requests().empty());
  refuse(AccountOf(server.Url("/token")), Code::kUnauthenticated, "HTTP 400");
}

TEST(GcsSourceTest, HonoursTheDigestsBesideTheObjects) {
  const std::string sha256(64, 'a');
  ScriptedServer server([&](const Request& request) {
    if (request.target.contains("alt=media")) return Reply{HttpAnswer(200, {}, sha256 + "  a\n")};
    return Reply{Answer({{"items", {ObjectOf("m/SHA256SUMS"), ObjectOf("m/a")}}})};
  });
  auto listing = GcsCaller(server).Resolve("gs://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files[1].identity, (FileIdentity{FileIdentity::Kind::kSha256, sha256}));
}

TEST(GcsSourceTest, WhoMayListAndNotReadGetsNothing) {
  ScriptedServer tokens([](const Request&) {
    return Reply{Answer({{"access_token", "ya29.token"}, {"expires_in", 3600}})};
  });
  ScriptedServer server([](const Request& request) {
    if (request.target.contains("alt=media") && !request.target.contains("README")) {
      return Reply{HttpAnswer(403, {}, "{}")};
    }
    return Reply{Answer({{"items", {ObjectOf("m/README.md"), ObjectOf("m/shards/a")}}})};
  });
  GcsCaller caller(server);
  auto shown = caller.ShowRights("gs://bucket/m");
  ASSERT_FALSE(shown) << "the list is public, the weights aren't";
  EXPECT_EQ(shown.error().code, Code::kUnauthenticated);
  EXPECT_EQ(caller.ShowRights("gs://bucket/m", {{"README.md"}}), true) << "and that part is";
  EXPECT_THAT(server.Requests().back().target, HasSubstr("alt=media&generation=7"))
      << "of what was listed, whatever there is by now";
  caller.credentials = {{{"gcloud-application-credentials.json", AccountOf(tokens.Url("/token"))}}};
  shown = caller.ShowRights("gs://bucket/m");
  ASSERT_FALSE(shown) << "as roles/storage.legacyBucketReader";
  EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
  EXPECT_THAT(shown.error().message, HasSubstr("gs://bucket/m/shards/a"));
  EXPECT_EQ(caller.ShowRights("gs://bucket/m", {{"README.md"}}), false) << "by their own token";
}

TEST(GcsSourceTest, AnObjectThatIsReplacedSinceItWasListedIsNoRefusal) {
  ScriptedServer server([](const Request& request) {
    if (request.target.contains("generation=7")) return Reply{HttpAnswer(404, {}, "{}")};
    return Reply{Answer({{"items", {ObjectOf("m/a")}}})};
  });
  auto shown = GcsCaller(server).ShowRights("gs://bucket/m");
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code, Code::kOutOfRange);
  EXPECT_FALSE(shown.error().rights_may_help);
}

TEST(GcsSourceTest, TroubleAtATokenEndpointThatTheCallerNamesIsNotGcsAway) {
  ScriptedServer theirs([](const Request&) { return Reply{HttpAnswer(503, {}, "")}; });
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(503, {}, "")}; });
  auto code_for = [&](const std::string& token_uri) {
    GcsCaller caller(server);
    caller.credentials = {{{"gcloud-application-credentials.json", AccountOf(token_uri)}}};
    return caller.Resolve("gs://bucket/m").error().code;
  };
  EXPECT_EQ(code_for(theirs.Url("/token")), Code::kFailedPrecondition);
  EXPECT_EQ(code_for("http://127.0.0.1:1/token"), Code::kFailedPrecondition) << "nobody is there";
  EXPECT_EQ(code_for(server.Url("/token")), Code::kUnavailable) << "an emulator's own";
  EXPECT_TRUE(theirs.Requests().size() == 1 && server.Requests().size() == 1);
}

TEST(GcsSourceTest, GzipThatIsStoredComesAsItIsStored) {
  Json packed = ObjectOf("m/a");
  packed["contentEncoding"] = "gzip";
  ScriptedServer server([&](const Request& request) {
    return Reply{Answer(request.target.contains("/o?") ? Json{{"items", {packed}}} : packed)};
  });
  GcsCaller caller(server);
  auto listing = caller.Resolve("gs://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  auto location = caller.Locate("gs://bucket/m", *listing);
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_THAT(location->headers, Contains("Accept-Encoding: gzip"));
  EXPECT_TRUE(location->stored_as_is);
  packed.erase("contentEncoding");
  EXPECT_THAT(caller.Locate("gs://bucket/m", *listing)->headers, testing::IsEmpty());
}

TEST(GcsSourceTest, HonoursTheDigestBesideTheOneObject) {
  const std::string sha256(64, 'b');
  int sums_status = 200;
  ScriptedServer server([&](const Request& request) {
    if (request.target.contains("/o?")) return Reply{Answer(Json::object())};
    if (request.target.contains("/o/m%2FSHA256SUMS?alt=media")) {
      return Reply{HttpAnswer(sums_status, {}, sha256 + "  a.gguf\n" + sha256 + "  other\n")};
    }
    return Reply{Answer(ObjectOf("m/a.gguf"))};
  });
  GcsCaller caller(server);
  auto listing = caller.Resolve("gs://bucket/m/a.gguf");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files[0].identity, (FileIdentity{FileIdentity::Kind::kSha256, sha256}));
  for (int none : {403, 404}) {
    sums_status = none;
    EXPECT_EQ(caller.Resolve("gs://bucket/m/a.gguf")->files[0].identity.kind,
              FileIdentity::Kind::kVersionToken);
  }
  sums_status = 503;
  EXPECT_EQ(caller.Resolve("gs://bucket/m/a.gguf").error().code, Code::kUnavailable);
}

TEST(GcsSourceTest, RefusesAPrefixThatIsStillUploaded) {
  ScriptedServer server([&](const Request& request) {
    std::string sum(64, 'a');
    if (request.target.contains("alt=media")) {
      return Reply{HttpAnswer(200, {}, sum + "  a\n" + sum + "  b\n")};
    }
    return Reply{Answer({{"items", {ObjectOf("m/SHA256SUMS"), ObjectOf("m/a")}}})};
  });
  EXPECT_EQ(GcsCaller(server).Resolve("gs://bucket/m").error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace weighhouse::source
