#include "cache-daemon/source/http_file.h"

#include <atomic>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

/// What HEAD answers of a file of `size` bytes.
std::string Sized(int size, std::vector<std::string> headers) {
  std::string text = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n";
  for (const std::string& header : headers) text += header + "\r\n";
  return text + "\r\n";
}

HttpFile MakeSource() {
  return HttpFile(std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()}),
                  [](std::string_view secret) { return fmt::format("keyed-{}", secret.size()); });
}

Result<Listing> Resolve(const std::string& url, std::optional<Digest> sha256 = {}) {
  return MakeSource().Resolve({.uri = url, .expected_sha256 = sha256}, {}, {});
}

const std::string kEtag = "ETag: \"v1\"";
const std::string kModified = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT";

TEST(HttpFileTest, ListsOneFileByItsDecodedName) {
  ScriptedServer server([](const Request&) { return Reply{Sized(12, {kEtag})}; });
  auto listing = Resolve(server.Url("/dir/my%20model.gguf"));
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 1U);
  EXPECT_EQ(listing->files[0].path, "my model.gguf");
  EXPECT_EQ(listing->files[0].size, 12U);
  EXPECT_EQ(listing->origin, server.Url("/dir/my%20model.gguf"));
  EXPECT_TRUE(listing->anonymous);
  EXPECT_EQ(server.Requests()[0].method, "HEAD");
}

TEST(HttpFileTest, TakesTheStrongEtagElseTheTimeOfChange) {
  std::vector<std::string> headers;
  ScriptedServer server([&](const Request&) { return Reply{Sized(12, headers)}; });
  headers = {kEtag, kModified};
  auto strong = Resolve(server.Url("/f"));
  headers = {"ETag: W/\"v1\"", kModified};
  auto weak = Resolve(server.Url("/f"));
  ASSERT_TRUE(strong && weak);
  EXPECT_EQ(strong->files[0].identity.kind, FileIdentity::Kind::kVersionToken);
  EXPECT_EQ(strong->files[0].identity.value, "etag \"v1\"");
  EXPECT_EQ(weak->files[0].identity.value, "modified Sun, 06 Nov 1994 08:49:37 GMT size 12");
  EXPECT_NE(strong->revision, weak->revision);
}

TEST(HttpFileTest, AsksForASha256WhereNothingTellsVersionsApart) {
  ScriptedServer server([](const Request&) { return Reply{Sized(12, {"ETag: W/\"v1\""})}; });
  auto listing = Resolve(server.Url("/f"));
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_THAT(listing.error().message, HasSubstr("#sha256=<hex>"));
  Digest digest = Digest::Of("x");
  listing = Resolve(server.Url("/f"), digest);
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->files[0].identity, (FileIdentity{FileIdentity::Kind::kSha256, digest.Hex()}));
}

TEST(HttpFileTest, AsksForAByteWhereHeadIsRefused) {
  for (int refused : {403, 405, 400, 501}) {
    ScriptedServer server([&](const Request& request) {
      if (request.method == "HEAD") return Reply{HttpAnswer(refused, {}, "")};
      return Reply{HttpAnswer(206, {"Content-Range: bytes 0-0/77", kEtag}, "x")};
    });
    auto listing = Resolve(server.Url("/f"));
    ASSERT_TRUE(listing) << refused << ": " << listing.error().message;
    EXPECT_EQ(listing->files[0].size, 77U);
    EXPECT_THAT(server.Requests()[1].head, HasSubstr("Range: bytes=0-0"));
  }
}

TEST(HttpFileTest, TakesTheLengthOfAnAnswerThatIgnoresTheRange) {
  ScriptedServer server([&](const Request& request) {
    if (request.method == "HEAD") return Reply{HttpAnswer(405, {}, "")};
    return Reply{HttpAnswer(200, {kEtag}, std::string(3000, 'x'))};
  });
  auto listing = Resolve(server.Url("/f"));
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files[0].size, 3000U);
}

TEST(HttpFileTest, RefusesAFileOfUnknownSize) {
  ScriptedServer server([](const Request&) {
    return Reply{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + kEtag + "\r\n\r\n",
                 Reply::Then::kClose};
  });
  auto listing = Resolve(server.Url("/f"));
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_THAT(listing.error().message, HasSubstr("doesn't tell the size"));
}

TEST(HttpFileTest, GivesStatusesTheirClass) {
  const std::pair<int, Code> kTable[] = {
      {401, Code::kUnauthenticated}, {403, Code::kPermissionDenied},
      {404, Code::kNotFound},        {429, Code::kUnavailable},
      {503, Code::kUnavailable},     {400, Code::kFailedPrecondition}};
  for (auto [status, code] : kTable) {
    ScriptedServer server([&](const Request& request) {
      return Reply{HttpAnswer(status, {"Retry-After: 2"}, request.method == "HEAD" ? "" : "why")};
    });
    auto listing = Resolve(server.Url("/f"));
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, code) << status;
  }
}

TEST(HttpFileTest, KeepsTheQueryToItself) {
  std::string query = "?X-Amz-Date=20251202T191251Z&X-Amz-Expires=600&X-Amz-Signature=canarycanary";
  std::atomic<int> status = 200;
  ScriptedServer server([&](const Request& request) {
    if (status == 200) return Reply{Sized(12, {kEtag})};
    return Reply{HttpAnswer(status, {}, request.method == "HEAD" ? "" : "not canarycanary!")};
  });
  auto listing = Resolve(server.Url("/f") + query);
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->origin, server.Url("/f"));
  EXPECT_EQ(listing->files[0].path, "f");
  EXPECT_FALSE(listing->anonymous) << "the signature was a credential";
  EXPECT_EQ(server.Requests()[0].target, "/f" + query);
  auto location =
      MakeSource().Locate({.uri = server.Url("/f") + query}, *listing, listing->files[0], {}, {});
  ASSERT_TRUE(location);
  EXPECT_LT(location->expires_at, std::chrono::steady_clock::now() + std::chrono::hours(1));
  for (int refused : {403, 404, 500, 400}) {
    status = refused;
    auto failed = Resolve(server.Url("/f") + query);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message, Not(HasSubstr("canary")));
  }
}

TEST(HttpFileTest, TellsFilesApartThatAQueryChooses) {
  ScriptedServer server([](const Request&) { return Reply{Sized(12, {kEtag})}; });
  auto one = Resolve(server.Url("/get?id=1")), two = Resolve(server.Url("/get?id=22"));
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->origin, two->origin);
  EXPECT_THAT(one->origin, Not(HasSubstr("id=1")));
}

TEST(HttpFileTest, AQueryIsToldInTheOriginByItsKeyedDigestOnly) {
  ScriptedServer server([](const Request&) { return Reply{Sized(12, {kEtag})}; });
  auto listing = Resolve(server.Url("/get?apikey=canary"));
  ASSERT_TRUE(listing);
  // A plain digest of a short secret is as good as the secret.
  EXPECT_EQ(listing->origin, server.Url("/get?keyed-13"));
}

TEST(HttpFileTest, LocatesWhereRedirectsLeadAndHoldsTheServerToTheVersion) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/f") return Reply{HttpAnswer(302, {"Location: /real?sig=x"}, "")};
    return Reply{Sized(12, {kEtag})};
  });
  auto listing = Resolve(server.Url("/f"));
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->origin, server.Url("/f"));
  auto location =
      MakeSource().Locate({.uri = server.Url("/f")}, *listing, listing->files[0], {}, {});
  ASSERT_TRUE(location);
  EXPECT_EQ(location->url, server.Url("/real?sig=x"));
  EXPECT_THAT(location->headers, ElementsAre("If-Match: \"v1\""));
}

TEST(HttpFileTest, NoticesAFileThatChangedSinceItWasListed) {
  std::atomic<int> version = 1;
  ScriptedServer server([&](const Request&) {
    return Reply{Sized(12, {"ETag: \"v" + std::to_string(version) + "\""})};
  });
  auto listing = Resolve(server.Url("/f"));
  ASSERT_TRUE(listing);
  version = 2;
  auto location =
      MakeSource().Locate({.uri = server.Url("/f")}, *listing, listing->files[0], {}, {});
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kOutOfRange);
}

TEST(HttpFileTest, RefusesNamesThatAreNone) {
  for (const char* path : {"/a%2Fb", "/%2e%2e", "/a%00b", "/a%0Ab", "/%zz", "/dir/", "/a%5Cb"}) {
    auto listing = Resolve("http://127.0.0.1:1" + std::string(path));
    ASSERT_FALSE(listing) << path;
    EXPECT_EQ(listing.error().code, Code::kInvalidArgument) << path;
  }
}

TEST(HttpFileTest, RefusesPlainHttpBeyondTheLoopback) {
  auto listing = Resolve("http://models.example/f");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_THAT(listing.error().message, HasSubstr("plain http"));
}

}  // namespace
}  // namespace weighhouse::source
