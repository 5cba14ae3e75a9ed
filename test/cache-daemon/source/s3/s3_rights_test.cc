// Who may read what S3 lists, for how long, and what else is believed of it.

#include <ctime>

#include <fmt/chrono.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/s3/s3_caller.h"

namespace weighhouse::source {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

TEST(S3RightsTest, WhoMayListAndNotReadGetsNothing) {
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/README.md", "m/shards/a"})};
    bool open = request.target.ends_with("README.md");
    return Reply{open ? FirstByte() : Refused(403, "AccessDenied")};
  });
  auto shown = S3Caller(server).ShowRights("s3://bucket/m");
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
  EXPECT_THAT(shown.error().message, HasSubstr("s3://bucket/m/shards/a"));
  S3Caller nobody(server);
  nobody.credentials = {};
  shown = nobody.ShowRights("s3://bucket/m");
  ASSERT_FALSE(shown) << "the list is public, the weights aren't";
  EXPECT_EQ(shown.error().code, Code::kUnauthenticated);
  S3Caller node(server, NodeKeys());
  node.credentials = {};
  EXPECT_FALSE(node.ShowRights("s3://bucket/m"));
}

TEST(S3RightsTest, EachFileThatIsServedIsReadAndNoOther) {
  std::vector<std::string> keys = {"m/shut"};
  for (int i = 0; i < 100; ++i) keys.push_back(fmt::format("m/{}/open", i));
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed(keys)};
    bool open = request.target.ends_with("/open");
    return Reply{open ? FirstByte() : Refused(403, "AccessDenied")};
  });
  S3Caller caller(server);
  EXPECT_EQ(caller.ShowRights("s3://bucket/m").error().code, Code::kPermissionDenied)
      << "the one of a hundred and one";
  EXPECT_FALSE(caller.ShowRights("s3://bucket/m", {{"shut"}}))
      << "nobody reads another in its place";
  size_t before = server.Requests().size();
  EXPECT_EQ(caller.ShowRights("s3://bucket/m", {{"1/*", "2/*"}}), false)
      << "a part of it is theirs";
  EXPECT_EQ(server.Requests().size(), before + 3);
  caller.credentials = {};
  EXPECT_EQ(caller.ShowRights("s3://bucket/m", {{"*/open"}}), true) << "anybody has read all of it";
}

TEST(S3RightsTest, TheRightToReadIsShownWhereTheBytesLie) {
  bool open = false;
  ScriptedServer cdn(
      [&](const Request&) { return Reply{open ? FirstByte() : HttpAnswer(403, {}, "")}; });
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    return Reply{HttpAnswer(302, {"Location: " + cdn.Url("/object", "localhost")}, "")};
  });
  S3Caller caller(server);
  EXPECT_EQ(caller.ShowRights("s3://bucket/m").error().code, Code::kPermissionDenied);
  open = true;
  EXPECT_TRUE(caller.ShowRights("s3://bucket/m"));
  for (const Request& request : cdn.Requests()) {
    EXPECT_THAT(request.head, Not(HasSubstr("uthorization")));
    EXPECT_THAT(request.head, HasSubstr("Range: bytes=0-0"));
  }
}

TEST(S3RightsTest, AServiceThatIgnoresRangeShowsTheRightToo) {
  constexpr size_t kLarge = 200'000;
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"}, "", kLarge)};
    return Reply{HttpAnswer(200, {}, std::string(kLarge, 'x'))};
  });
  EXPECT_TRUE(S3Caller(server).ShowRights("s3://bucket/m"));
}

TEST(S3RightsTest, AnArchivedObjectShowsTheRightOfWhoHasKeys) {
  ScriptedServer server([](const Request& request) {
    return Reply{IsList(request) ? Listed({"m/a"}) : Refused(403, "InvalidObjectState")};
  });
  S3Caller caller(server);
  EXPECT_TRUE(caller.ShowRights("s3://bucket/m"));
  caller.credentials = {};
  EXPECT_FALSE(caller.ShowRights("s3://bucket/m")) << "nobody read a byte of it";
}

TEST(S3RightsTest, ABucketOfATenantsOwnServiceIsItsAccountsOwn) {
  ScriptedServer ours([](const Request&) { return Reply{Listed({"m/a"})}; });
  ScriptedServer theirs([](const Request&) { return Reply{Listed({"m/a"})}; });
  S3Caller caller(ours);
  const std::string at_ours = "s3+" + ours.Url("") + "/bucket/m/";
  EXPECT_EQ(caller.OriginFor("s3://bucket/m"), at_ours);
  caller.credentials.values["AWS_ENDPOINT_URL"] = ours.Url("/");
  EXPECT_EQ(caller.OriginFor("s3://bucket/m"), at_ours) << "the one that is configured";
  caller.credentials.values["AWS_ENDPOINT_URL"] = theirs.Url("");
  const std::string of_a = "s3+" + theirs.Url("") + "#digest-of-AKIA1/bucket/m/";
  EXPECT_EQ(caller.OriginFor("s3://bucket/m"), of_a);
  EXPECT_EQ(caller.Resolve("s3://bucket/m")->origin, of_a);
  caller.credentials.values["AWS_ACCESS_KEY_ID"] = "AKIA2";
  EXPECT_EQ(caller.OriginFor("s3://bucket/m"),
            "s3+" + theirs.Url("") + "#digest-of-AKIA2/bucket/m/");
  caller.credentials.values.erase("AWS_ACCESS_KEY_ID");
  caller.credentials.values.erase("AWS_SECRET_ACCESS_KEY");
  EXPECT_EQ(caller.OriginFor("s3://bucket/m"), "s3+" + theirs.Url("") + "/bucket/m/");
}

TEST(S3PlaceTest, NamesOfBucketsAreThoseOfAPartition) {
  S3Place place{.endpoint = {}, .bucket = "b"};
  EXPECT_EQ(place.Origin("eu-central-1"), "s3+https://s3.amazonaws.com/b/");
  EXPECT_EQ(place.Origin("cn-north-1"), "s3+https://s3.amazonaws.com.cn/b/");
  EXPECT_EQ(place.Origin("us-gov-east-1"), "s3+https://s3.us-gov.amazonaws.com/b/");
  EXPECT_EQ(FallbackRegion("foo-1", "eu-west-1"), "eu-west-1");
  EXPECT_EQ(FallbackRegion("foo-1", "cn-north-1"), "us-east-1");
  EXPECT_EQ(FallbackRegion("cn-foo", "eu-west-1"), "cn-north-1");
  EXPECT_EQ(FallbackRegion("us-gov-foo", "eu-west-1"), "us-gov-west-1");
}

TEST(S3RightsTest, TheRightToALaterVersionIsNotShownForTheOneThatWasListed) {
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    bool of_listed = request.head.contains("If-Match: \"e1\"");
    return Reply{of_listed ? Refused(412, "PreconditionFailed") : FirstByte()};
  });
  auto shown = S3Caller(server).ShowRights("s3://bucket/m");
  ASSERT_FALSE(shown) << "its bytes are others by now";
  EXPECT_EQ(shown.error().code, Code::kOutOfRange) << "and no refusal";
}

TEST(S3RightsTest, SomethingOfAnotherSizeShowsNoRight) {
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    return Reply{HttpAnswer(200, {}, "<html>log in</html>")};
  });
  S3Caller caller(server);
  auto shown = caller.ShowRights("s3://bucket/m");
  ASSERT_FALSE(shown);
  EXPECT_EQ(shown.error().code, Code::kPermissionDenied);
  EXPECT_TRUE(shown.error().rights_may_help);
}

TEST(S3ClientTest, ARegionThatIsMadeUpIsNotAServiceThatIsAway) {
  // As far as the proxy: nothing of AWS' is asked.
  ScriptedServer proxy([](const Request&) { return Reply{HttpAnswer(502, {}, "")}; });
  auto policy = std::make_shared<ConnectionPolicy>(
      ConnectionRules{.allow_addresses = LoopbackAddresses(), .proxies = {.https = proxy.Url("")}});
  auto http = std::make_shared<HttpClient>(HttpClientOptions{.policy = policy});
  S3Source source({.region = "eu-west-1"}, std::make_shared<S3Client>(http), http, nullptr);
  auto hosts_for = [&](const char* region) {
    size_t before = proxy.Requests().size();
    auto listing = source.Resolve({.uri = "s3://bucket/m"}, {{{"AWS_REGION", region}}}, {});
    EXPECT_EQ(listing.error().code, Code::kUnavailable) << listing.error().message;
    std::vector<std::string> hosts;
    std::vector<Request> requests = proxy.Requests();
    for (size_t i = before; i < requests.size(); ++i) hosts.push_back(requests[i].target);
    return hosts;
  };
  EXPECT_THAT(hosts_for("cn-made-up"),
              testing::ElementsAre("bucket.s3.cn-made-up.amazonaws.com.cn:443",
                                   "bucket.s3.cn-north-1.amazonaws.com.cn:443"));
  // Nothing is learnt of a bucket from regions that don't answer.
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(hosts_for("made-up"),
                testing::ElementsAre("bucket.s3.made-up.amazonaws.com:443",
                                     "bucket.s3.eu-west-1.amazonaws.com:443"));
  }
  EXPECT_THAT(hosts_for("eu-west-1"),
              testing::ElementsAre("bucket.s3.eu-west-1.amazonaws.com:443"));
}

TEST(S3RightsTest, ALocationEndsBeforeItsKeys) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/keys") {
      std::time_t soon = std::time(nullptr) + 200;
      return Reply{
          HttpAnswer(200, {},
                     fmt::format(R"({{"AccessKeyId":"A","SecretAccessKey":"s","Token":"t",)"
                                 R"("Expiration":"{:%Y-%m-%dT%H:%M:%SZ}"}})",
                                 fmt::gmtime(soon)))};
    }
    if (IsList(request)) return Reply{Listed({"m/a"})};
    return Reply{request.method == "HEAD" ? Head({kEtagHeader}) : FirstByte()};
  });
  auto keys = std::make_shared<AwsNodeKeys>(
      std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()}),
      [&](const char* name) {
        return name == std::string_view("AWS_CONTAINER_CREDENTIALS_FULL_URI") ? server.Url("/keys")
                                                                              : std::string();
      },
      "us-east-1");
  S3Caller caller(server, keys);
  caller.credentials = {};
  Listing listing = caller.Resolve("s3://bucket/m").value();
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_TRUE(location) << location.error().message;
  auto left = location->expires_at - std::chrono::steady_clock::now();
  EXPECT_LT(left, std::chrono::seconds(190));
  EXPECT_GT(left, std::chrono::seconds(120));
}

TEST(S3RightsTest, AsksWhyAHeadIsRefused) {
  bool ended = false;
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    if (!ended) return Reply{FirstByte()};
    return Reply{request.method == "HEAD" ? "HTTP/1.1 400 B\r\nContent-Length: 99\r\n\r\n"
                                          : Refused(400, "ExpiredToken")};
  });
  S3Caller caller(server);
  Listing listing = caller.Resolve("s3://bucket/m").value();
  ended = true;
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_FALSE(location);
  EXPECT_EQ(location.error().code, Code::kUnauthenticated);
  EXPECT_THAT(location.error().message, HasSubstr("ExpiredToken"));
}

TEST(S3RightsTest, QuotesAroundAnEtagMeanNothing) {
  ScriptedServer server([](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/a"})};
    return Reply{request.method == "HEAD" ? Head({"ETag: e1"}) : FirstByte()};
  });
  S3Caller caller(server);
  Listing listing = caller.Resolve("s3://bucket/m").value();
  auto location = caller.Locate("s3://bucket/m", listing);
  ASSERT_TRUE(location) << location.error().message;
  EXPECT_THAT(location->headers, Contains("If-Match: \"e1\""));
}

TEST(S3RightsTest, HonoursTheDigestBesideTheOneObject) {
  const std::string sha256(64, 'b');
  int sums_status = 200;
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({})};
    if (request.target == "/bucket/m/SHA256SUMS") {
      return Reply{HttpAnswer(sums_status, {}, sha256 + "  a.gguf\n" + sha256 + "  other\n")};
    }
    return Reply{request.method == "HEAD" ? Head({kEtagHeader}) : FirstByte()};
  });
  S3Caller caller(server);
  auto listing = caller.Resolve("s3://bucket/m/a.gguf");
  ASSERT_TRUE(listing) << listing.error().message;
  EXPECT_EQ(listing->files[0].identity, (FileIdentity{FileIdentity::Kind::kSha256, sha256}));
  EXPECT_TRUE(caller.Locate("s3://bucket/m/a.gguf", *listing));
  for (int none : {403, 404}) {
    sums_status = none;
    EXPECT_EQ(caller.Resolve("s3://bucket/m/a.gguf")->files[0].identity.kind,
              FileIdentity::Kind::kVersionToken);
  }
  sums_status = 503;
  EXPECT_EQ(caller.Resolve("s3://bucket/m/a.gguf").error().code, Code::kUnavailable);
}

TEST(S3RightsTest, RefusesAPrefixThatIsStillUploaded) {
  ScriptedServer server([&](const Request& request) {
    if (IsList(request)) return Reply{Listed({"m/SHA256SUMS", "m/a"})};
    std::string sum(64, 'a');
    return Reply{HttpAnswer(200, {}, sum + "  a\n" + sum + "  b\n")};
  });
  auto listing = S3Caller(server).Resolve("s3://bucket/m");
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(listing.error().message, HasSubstr("'b', which isn't there"));
}

}  // namespace
}  // namespace weighhouse::source
