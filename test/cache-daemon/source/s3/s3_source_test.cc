#include "cache-daemon/source/s3/s3_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "test/cache-daemon/source/s3/s3_caller.h"

namespace weighhouse::source {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

TEST(S3SourceTest, ListsAllPagesOfAPrefix) {
  ScriptedServer server([](const Request& request) {
    if (request.target.contains("continuation-token=next%2F1")) return Reply{Listed({"m/b/c"})};
    return Reply{Listed({"m/a", "m/d/"},
                        "<IsTruncated>true</IsTruncated><NextContinuationToken>next/1"
                        "</NextContinuationToken>")};
  });
  S3Caller caller(server);
  auto listing = caller.Resolve("s3://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 2U);
  EXPECT_EQ(listing->files[0].path, "a");
  EXPECT_EQ(listing->files[1].path, "b/c");
  EXPECT_EQ(listing->files[0].identity,
            (FileIdentity{FileIdentity::Kind::kVersionToken, "etag e1 of a"}));
  EXPECT_EQ(listing->origin, "s3+" + server.Url("") + "/bucket/m/");
  EXPECT_FALSE(listing->anonymous);
  EXPECT_THAT(server.Requests()[0].target, HasSubstr("encoding-type=url"));
  EXPECT_THAT(server.Requests()[0].head, HasSubstr("Credential=AKIA1/"));
}

TEST(S3SourceTest, GivesUpOnAListThatDoesNotEnd) {
  ScriptedServer server([](const Request&) {
    return Reply{Listed({},
                        "<IsTruncated>true</IsTruncated><NextContinuationToken>same"
                        "</NextContinuationToken>")};
  });
  auto listing = S3Caller(server).Resolve("s3://bucket/m");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kInvalidArgument);
  EXPECT_LE(server.Requests().size(), 3U);
}

TEST(S3SourceTest, RefusesKeysThatLieElsewhereOrClimb) {
  for (const char* key : {"other/a", "m/../../etc", "m//a", "m/./a", "m/a\\b"}) {
    ScriptedServer server([&](const Request&) { return Reply{Listed({key})}; });
    auto listing = S3Caller(server).Resolve("s3://bucket/m");
    ASSERT_FALSE(listing) << key;
    EXPECT_EQ(listing.error().code, Code::kInvalidArgument) << key;
  }
}

TEST(S3SourceTest, TakesTheOneObjectOfThatName) {
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({})};
    if (request.target.ends_with("SHA256SUMS")) return Reply{Refused(404, "NoSuchKey")};
    return Reply{request.method == "HEAD" ? Head({kEtagHeader}) : FirstByte()};
  });
  S3Caller caller(server);
  auto listing = caller.Resolve("s3://bucket/dir/model.gguf");
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 1U);
  EXPECT_EQ(listing->files[0].path, "model.gguf");
  EXPECT_TRUE(listing->origin.ends_with("/bucket/dir/model.gguf"));
  ASSERT_TRUE(caller.Locate("s3://bucket/dir/model.gguf", *listing));
  EXPECT_EQ(server.Requests().back().target, "/bucket/dir/model.gguf");
}

TEST(S3SourceTest, OneWhoMayNotListMayStillReadTheObject) {
  ScriptedServer server([](const Request& request) {
    bool refused = IsList(request) || request.target.ends_with("SHA256SUMS");
    if (refused) return Reply{Refused(403, "AccessDenied")};
    return Reply{request.method == "HEAD" ? Head({kEtagHeader}) : FirstByte()};
  });
  EXPECT_TRUE(S3Caller(server).Resolve("s3://bucket/model.gguf"));
  ScriptedServer closed([](const Request& request) {
    return Reply{request.method == "HEAD" ? "HTTP/1.1 403 F\r\n\r\n"
                                          : Refused(403, "AccessDenied")};
  });
  auto listing = S3Caller(closed).Resolve("s3://bucket/model.gguf");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kPermissionDenied);
  EXPECT_THAT(listing.error().message, HasSubstr("s3:ListBucket"));
}

TEST(S3SourceTest, TroubleAtTheObjectIsNoRefusalThoughTheListIsRefused) {
  for (int status : {503, 429}) {
    ScriptedServer server([&](const Request& request) {
      if (IsList(request)) return Reply{Refused(403, "AccessDenied")};
      return Reply{HttpAnswer(status, {}, "")};
    });
    auto listing = S3Caller(server).Resolve("s3://bucket/model.gguf");
    ASSERT_FALSE(listing);
    EXPECT_EQ(listing.error().code, Code::kUnavailable) << listing.error().message;
  }
}

Reply OneFile(const Request& request) { return {IsList(request) ? Listed({"m/a"}) : FirstByte()}; }

TEST(S3SourceTest, IsAnonymousOnlyWithoutTheCallersKeys) {
  ScriptedServer server(OneFile);
  S3Caller nobody(server);
  nobody.credentials = {};
  EXPECT_TRUE(nobody.Resolve("s3://bucket/m")->anonymous);
  EXPECT_EQ(nobody.ShowRights("s3://bucket/m"), true);
  EXPECT_THAT(server.Requests()[0].head, Not(HasSubstr("uthorization")));
  S3Caller with_node(server, NodeKeys());
  with_node.credentials = {};
  EXPECT_TRUE(with_node.Resolve("s3://bucket/m")->anonymous) << "the node's are for all tenants";
  EXPECT_EQ(with_node.ShowRights("s3://bucket/m"), true);
  EXPECT_THAT(server.Requests().back().head, HasSubstr("Credential=AKIANODE/"));
  EXPECT_FALSE(S3Caller(server, NodeKeys()).Resolve("s3://bucket/m")->anonymous);
  EXPECT_EQ(S3Caller(server, NodeKeys()).ShowRights("s3://bucket/m"), false);
}

TEST(S3SourceTest, NeverSendsTheNodesKeysWhereASecretPoints) {
  ScriptedServer theirs(OneFile);
  ScriptedServer ours(OneFile);
  S3Caller tenant(ours, NodeKeys());
  tenant.credentials = {{{"AWS_ENDPOINT_URL", theirs.Url("/")}}};
  auto listing = tenant.Resolve("s3://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_TRUE(listing->anonymous);
  EXPECT_EQ(listing->origin, "s3+" + theirs.Url("") + "/bucket/m/");
  EXPECT_EQ(tenant.ShowRights("s3://bucket/m"), true);
  EXPECT_TRUE(ours.Requests().empty());
  for (const Request& request : theirs.Requests()) {
    EXPECT_THAT(request.head, Not(HasSubstr("AKIANODE")));
  }
}

TEST(S3SourceTest, RefusesSecretsThatCantBeUsed) {
  ScriptedServer server([](const Request&) { return Reply{Listed({"m/a"})}; });
  S3Caller caller(server);
  auto refuse = [&](std::map<std::string, std::string> values, Code code, const char* words) {
    caller.credentials = {std::move(values)};
    auto listing = caller.Resolve("s3://bucket/m");
    ASSERT_FALSE(listing) << words;
    EXPECT_EQ(listing.error().code, code);
    EXPECT_THAT(listing.error().message, HasSubstr(words));
  };
  refuse({{"AWS_ACCESS_KEY_ID", "AKIA1"}}, Code::kUnauthenticated, "AWS_SECRET_ACCESS_KEY");
  refuse({{"AWS_ACCESS_KEY_ID", "AK IA"}, {"AWS_SECRET_ACCESS_KEY", "s"}}, Code::kUnauthenticated,
         "line breaks");
  refuse({{"AWS_ENDPOINT_URL", "http://192.0.2.1"}}, Code::kInvalidArgument, "plain http");
  refuse({{"AWS_ENDPOINT_URL", "ftp://x"}}, Code::kInvalidArgument, "not usable");
  refuse({{"AWS_REGION", "evil.example/"}}, Code::kInvalidArgument, "no region");
  for (const char* name : {"AWS_REGION", "AWS_ENDPOINT_URL"}) {
    for (const char* value : {"https://user:pass/word@minio", "Pass/word+key"}) {
      caller.credentials = {{{name, value}}};
      auto listing = caller.Resolve("s3://bucket/m");
      ASSERT_FALSE(listing);
      if (name == std::string("AWS_REGION") || std::string_view(value).contains("@")) {
        EXPECT_FALSE(ToLower(listing.error().message).contains("pass")) << listing.error().message;
      }
    }
  }
  EXPECT_TRUE(server.Requests().empty());
}

TEST(S3SourceTest, GoesToTheRegionThatTheServiceNamesAndRemembersIt) {
  ScriptedServer server([](const Request& request) {
    if (!request.head.contains("/eu-north-1/s3/")) {
      return Reply{Refused(400, "AuthorizationHeaderMalformed", "<Region>eu-north-1</Region>")};
    }
    return Reply{Listed({"m/a"})};
  });
  S3Caller caller(server);
  ASSERT_TRUE(caller.Resolve("s3://bucket/m"));
  ASSERT_TRUE(caller.Resolve("s3://bucket/m"));
  EXPECT_EQ(server.Requests().size(), 3U) << "the wrong region once";
}

TEST(S3SourceTest, FollowsTheBucketsRegionOfAnEmptyAnswer) {
  ScriptedServer server([](const Request& request) {
    if (request.head.contains("/eu-north-1/s3/")) return Reply{Listed({"m/a"})};
    return Reply{HttpAnswer(301, {"x-amz-bucket-region: eu-north-1"}, "")};
  });
  EXPECT_TRUE(S3Caller(server).Resolve("s3://bucket/m"));
  ScriptedServer endless([](const Request& request) {
    bool one = request.head.contains("/region-1/s3/");
    return Reply{HttpAnswer(
        301, {one ? "x-amz-bucket-region: region-2" : "x-amz-bucket-region: region-1"}, "")};
  });
  EXPECT_FALSE(S3Caller(endless).Resolve("s3://bucket/m"));
  EXPECT_LE(endless.Requests().size(), 6U);
}

TEST(S3SourceTest, LocatesWithASignatureForAnyRangeOfThisVersion) {
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a b"})};
    if (request.method == "HEAD")
      return Reply{Head({kEtagHeader, "x-amz-checksum-crc32c: 4waSgw=="})};
    return Reply{FirstByte()};
  });
  S3Caller caller(server);
  Listing listing = caller.Resolve("s3://bucket/m").value();
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, server.Url("/bucket/m/a%20b"));
  EXPECT_TRUE(location->authorised);
  EXPECT_THAT(location->headers, Contains("If-Match: \"e1\""));
  EXPECT_THAT(location->headers,
              Contains(HasSubstr("SignedHeaders=host;x-amz-content-sha256;x-amz-date,")));
  EXPECT_EQ(location->checksum, (ContentChecksum{ContentChecksum::Kind::kCrc32c, "e3069283"}));
  auto left = location->expires_at - std::chrono::steady_clock::now();
  EXPECT_LE(left, std::chrono::minutes(10));
  EXPECT_GT(left, std::chrono::minutes(9));
  EXPECT_TRUE(location->stored_as_is);
  EXPECT_THAT(server.Requests()[1].head, HasSubstr("x-amz-checksum-mode: ENABLED"));
}

TEST(S3SourceTest, GoesUnsignedWhereAGetIsSent) {
  ScriptedServer cdn([](const Request&) { return Reply{HttpAnswer(200, {}, "")}; });
  std::string target = cdn.Url("/object?X-Amz-Signature=abc&X-Amz-Expires=3600", "localhost");
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    if (request.method == "HEAD") return Reply{Head({kEtagHeader})};
    return Reply{HttpAnswer(302, {"Location: " + target}, "")};
  });
  S3Caller caller(server);
  Listing listing = caller.Resolve("s3://bucket/m").value();
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, target);
  EXPECT_THAT(location->headers, ElementsAre());
  EXPECT_FALSE(location->authorised);
  EXPECT_LE(location->expires_at, std::chrono::steady_clock::now() + std::chrono::minutes(60));
}

TEST(S3SourceTest, LooksInTheListWhereAHeadIsSentElsewhere) {
  ScriptedServer cdn([](const Request&) { return Reply{HttpAnswer(200, {}, "")}; });
  std::string listed = "m/a";
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({listed})};
    if (request.method == "HEAD") return Reply{"HTTP/1.1 302 F\r\nLocation: /x\r\n\r\n"};
    return Reply{HttpAnswer(302, {"Location: " + cdn.Url("/object", "localhost")}, "")};
  });
  S3Caller caller(server);
  Listing listing = caller.Resolve("s3://bucket/m").value();
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_EQ(location->url, cdn.Url("/object", "localhost"));
  listed = "m/ab";
  EXPECT_EQ(caller.Locate("s3://bucket/m", listing).error().code, Code::kNotFound);
}

TEST(S3SourceTest, NoticesAnotherVersion) {
  std::string etag = kEtagHeader;
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    return Reply{request.method == "HEAD" ? Head({etag}) : FirstByte()};
  });
  S3Caller caller(server);
  Listing listing = caller.Resolve("s3://bucket/m").value();
  EXPECT_TRUE(caller.Locate("s3://bucket/m", listing));
  etag = "ETag: \"e2\"";
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kOutOfRange);
}

TEST(S3SourceTest, HonoursTheDigestsBesideTheObjects) {
  const std::string sha256(64, 'a');
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/SHA256SUMS", "m/a", "m/b"})};
    return Reply{HttpAnswer(200, {}, sha256 + "  a\n")};
  });
  auto listing = S3Caller(server).Resolve("s3://bucket/m");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files[0].identity.kind, FileIdentity::Kind::kVersionToken);
  EXPECT_EQ(listing->files[1].identity, (FileIdentity{FileIdentity::Kind::kSha256, sha256}));
  EXPECT_EQ(listing->files[2].identity.kind, FileIdentity::Kind::kVersionToken);
}

}  // namespace
}  // namespace weighhouse::source
