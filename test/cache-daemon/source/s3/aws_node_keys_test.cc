#include "cache-daemon/source/s3/aws_node_keys.h"

#include <ctime>
#include <fstream>
#include <map>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;
using Variables = std::map<std::string, std::string>;

Environment From(const Variables& variables) {
  return [variables](const char* name) {
    auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  };
}

AwsNodeKeys With(const Variables& variables) {
  return {std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()}),
          From(variables), "eu-west-1"};
}

const std::string kJsonKeys =
    R"({"AccessKeyId":"ASIA1","SecretAccessKey":"s1","Token":"t1","Expiration":"2999-01-01T00:00:00Z"})";

TEST(AwsNodeKeysTest, TakesTheEnvironmentsKeysFirst) {
  AwsNodeKeys keys = With({{"AWS_ACCESS_KEY_ID", "AKIA0"},
                           {"AWS_SECRET_ACCESS_KEY", "s0"},
                           {"AWS_ROLE_ARN", "arn"},
                           {"AWS_WEB_IDENTITY_TOKEN_FILE", "/missing"}});
  auto got = keys.Get({});
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->keys.access_key_id, "AKIA0");
}

TEST(AwsNodeKeysTest, ExchangesTheWebIdentityAtSts) {
  TemporaryDirectory directory;
  WriteTestFile(directory / "token", "ey.J+/w=\n");
  ScriptedServer sts([](const Request&) {
    return Reply{HttpAnswer(
        200, {},
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t2</SessionToken>"
        "<SecretAccessKey>s2</SecretAccessKey><Expiration>2999-01-01T00:00:00Z</Expiration>"
        "<AccessKeyId>ASIA2</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>")};
  });
  AwsNodeKeys keys = With({{"AWS_ROLE_ARN", "arn:aws:iam::1:role/x"},
                           {"AWS_WEB_IDENTITY_TOKEN_FILE", (directory / "token").string()},
                           {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/x"},
                           {"AWS_ENDPOINT_URL_STS", sts.Url("")}});
  auto got = keys.Get({});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ((*got)->keys, (AwsKeys{"ASIA2", "s2", "t2"}));
  EXPECT_TRUE(keys.Get({}));
  ASSERT_EQ(sts.Requests().size(), 1U) << "they are good for long";
  EXPECT_EQ(sts.Requests()[0].method, "POST");
  EXPECT_THAT(sts.Requests()[0].body,
              HasSubstr("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&RoleSessionName=weighhouse"
                        "&WebIdentityToken=ey.J%2B%2Fw%3D"));
}

TEST(AwsNodeKeysTest, AFailingWebIdentityIsAnErrorWithoutTheToken) {
  TemporaryDirectory directory;
  WriteTestFile(directory / "token", "secret-web-token");
  ScriptedServer sts([](const Request& request) {
    return Reply{HttpAnswer(403, {},
                            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>No " +
                                request.body + "</Message></Error></ErrorResponse>")};
  });
  AwsNodeKeys keys = With({{"AWS_ROLE_ARN", "arn"},
                           {"AWS_WEB_IDENTITY_TOKEN_FILE", (directory / "token").string()},
                           {"AWS_ENDPOINT_URL_STS", sts.Url("")}});
  auto got = keys.Get({});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(got.error().message, HasSubstr("STS"));
  EXPECT_THAT(got.error().message, testing::Not(HasSubstr("secret-web-token")));
}

TEST(AwsNodeKeysTest, AsksTheContainerProviderWithTheTokenOfItsFile) {
  TemporaryDirectory directory;
  WriteTestFile(directory / "token", "pod-token\n");
  ScriptedServer agent([](const Request&) { return Reply{HttpAnswer(200, {}, kJsonKeys)}; });
  AwsNodeKeys keys =
      With({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.Url("/v1/credentials")},
            {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", (directory / "token").string()}});
  auto got = keys.Get({});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ((*got)->keys, (AwsKeys{"ASIA1", "s1", "t1"}));
  EXPECT_THAT(agent.Requests()[0].head, HasSubstr("\r\nAuthorization: pod-token"));
}

TEST(AwsNodeKeysTest, AsksNoInstanceWhereThereIsAContainerProvider) {
  std::string answer = HttpAnswer(200, {}, kJsonKeys);
  ScriptedServer agent([&](const Request&) { return Reply{answer}; });
  ScriptedServer imds([](const Request& request) {
    if (request.method == "PUT") return Reply{HttpAnswer(200, {}, "session")};
    return Reply{HttpAnswer(200, {}, request.target.ends_with('/') ? "my-role" : kJsonKeys)};
  });
  Variables variables{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.Url("/v1/credentials")},
                      {"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}};
  AwsNodeKeys keys = With(variables);
  auto got = keys.Get({});
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(agent.Requests().size(), 1U);
  for (int status : {403, 404, 500}) {
    answer = HttpAnswer(status, {}, "");
    AwsNodeKeys refused = With(variables);
    EXPECT_FALSE(refused.Get({})) << status << ": the instance's role is for others than this pod";
  }
  EXPECT_TRUE(imds.Requests().empty());
  variables.erase("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  AwsNodeKeys of_instance = With(variables);
  EXPECT_TRUE(of_instance.Get({}));
  EXPECT_FALSE(imds.Requests().empty()) << "it would have answered";
}

TEST(AwsNodeKeysTest, AsksTheProviderOfEcsByItsRelativeUri) {
  // Its address isn't a test's: a proxy that stands for it sees what it is asked.
  ScriptedServer provider([](const Request&) { return Reply{HttpAnswer(200, {}, kJsonKeys)}; });
  ScriptedServer others([](const Request&) { return Reply{HttpAnswer(200, {}, kJsonKeys)}; });
  auto policy = std::make_shared<ConnectionPolicy>(
      ConnectionRules{.allow_addresses = {AddressRange::Parse("127.0.0.0/8").value(),
                                          AddressRange::Parse("169.254.170.2").value()},
                      .allow_plain_http = true,
                      .proxies = {.http = provider.Url("")}});
  AwsNodeKeys keys(std::make_shared<HttpClient>(HttpClientOptions{.policy = std::move(policy)}),
                   From({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1-2-3"},
                         {"AWS_CONTAINER_CREDENTIALS_FULL_URI", others.Url("/v1/credentials")},
                         {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "task-token"},
                         {"AWS_EC2_METADATA_SERVICE_ENDPOINT", others.Url("")}}),
                   "eu-west-1");
  auto got = keys.Get({});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ((*got)->keys, (AwsKeys{"ASIA1", "s1", "t1"}));
  ASSERT_EQ(provider.Requests().size(), 1U);
  EXPECT_THAT(provider.Requests()[0].head,
              StartsWith("GET http://169.254.170.2/v2/credentials/1-2-3 HTTP/1.1\r\n"));
  EXPECT_THAT(provider.Requests()[0].head, HasSubstr("\r\nAuthorization: task-token"));
  EXPECT_TRUE(others.Requests().empty()) << "the relative one counts first, as with the SDKs";
}

TEST(AwsNodeKeysTest, SendsNothingThatWouldBeAHeaderOfItsOwn) {
  ScriptedServer agent([](const Request&) { return Reply{HttpAnswer(200, {}, kJsonKeys)}; });
  TemporaryDirectory directory;
  WriteTestFile(directory / "token", "pod-token\r\nX-Evil: 1\n");
  AwsNodeKeys container =
      With({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.Url("/v1/credentials")},
            {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", (directory / "token").string()}});
  AwsNodeKeys fixed = With({{"AWS_ACCESS_KEY_ID", "AKIA0"},
                            {"AWS_SECRET_ACCESS_KEY", "s0"},
                            {"AWS_SESSION_TOKEN", "pod-token\nX-Evil: 1"}});
  for (AwsNodeKeys* keys : {&container, &fixed}) {
    auto got = keys->Get({});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::kFailedPrecondition);
    EXPECT_THAT(got.error().message, testing::Not(HasSubstr("pod-token")));
  }
  EXPECT_TRUE(agent.Requests().empty());
}

TEST(AwsNodeKeysTest, SendsNoContainerTokenToStrangersByPlainHttp) {
  AwsNodeKeys keys = With({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x"},
                           {"AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token"}});
  auto got = keys.Get({});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kFailedPrecondition);
}

TEST(AwsNodeKeysTest, AsksTheInstanceByASession) {
  ScriptedServer imds([](const Request& request) {
    if (request.method == "PUT") return Reply{HttpAnswer(200, {}, "session")};
    if (!request.head.contains("X-aws-ec2-metadata-token: session")) {
      return Reply{HttpAnswer(401, {}, "")};
    }
    return Reply{HttpAnswer(200, {}, request.target.ends_with('/') ? "my-role\n" : kJsonKeys)};
  });
  AwsNodeKeys keys = With({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}});
  auto got = keys.Get({});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ((*got)->keys, (AwsKeys{"ASIA1", "s1", "t1"}));
  EXPECT_EQ(imds.Requests()[0].target, "/latest/api/token");
  EXPECT_EQ(imds.Requests()[2].target, "/latest/meta-data/iam/security-credentials/my-role");
}

TEST(AwsNodeKeysTest, RenewsKeysBeforeTheyEnd) {
  int asked = 0;
  ScriptedServer agent([&](const Request&) {
    ++asked;
    return Reply{HttpAnswer(
        200, {},
        R"({"AccessKeyId":"ASIA1","SecretAccessKey":"s1","Expiration":"2001-01-01T00:00:00Z"})")};
  });
  AwsNodeKeys keys = With({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.Url("/v1/credentials")}});
  EXPECT_TRUE(keys.Get({}));
  EXPECT_TRUE(keys.Get({}));
  EXPECT_EQ(agent.Requests().size(), 2U);
}

TEST(AwsNodeKeysTest, HasNoneWhereNothingGivesThemAndRemembersIt) {
  ScriptedServer imds([](const Request&) { return Reply{HttpAnswer(404, {}, "")}; });
  AwsNodeKeys keys = With({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}});
  auto got = keys.Get({});
  ASSERT_TRUE(got);
  EXPECT_FALSE(*got);
  EXPECT_TRUE(keys.Get({}));
  EXPECT_EQ(imds.Requests().size(), 1U);
  AwsNodeKeys forbidden = With(
      {{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}, {"AWS_EC2_METADATA_DISABLED", "true"}});
  EXPECT_FALSE(*forbidden.Get({}));
  EXPECT_EQ(imds.Requests().size(), 1U);
}

/// The keys of an agent that end in a few seconds, or did before.
std::string KeysThatEnd(int in_seconds) {
  return fmt::format(R"({{"AccessKeyId":"ASIA1","SecretAccessKey":"s1",)"
                     R"("Expiration":"{:%Y-%m-%dT%H:%M:%SZ}"}})",
                     fmt::gmtime(std::time(nullptr) + in_seconds));
}

TEST(AwsNodeKeysTest, ServicesInTroubleTakeNoKeysAway) {
  std::string answer;
  ScriptedServer agent([&](const Request&) { return Reply{answer}; });
  for (const std::string& trouble :
       {HttpAnswer(500, {}, ""), HttpAnswer(404, {}, ""), HttpAnswer(200, {}, "{}")}) {
    AwsNodeKeys keys = With({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.Url("/v1/credentials")}});
    answer = HttpAnswer(200, {}, KeysThatEnd(0));
    ASSERT_TRUE(keys.Get({}));
    answer = trouble;
    auto got = keys.Get({});
    ASSERT_FALSE(got) << "they have ended";
    EXPECT_EQ(got.error().code, Code::kUnavailable) << got.error().message;
  }
}

TEST(AwsNodeKeysTest, KeepsKeysThatCantBeRenewedUntilTheyEnd) {
  std::string answer = HttpAnswer(200, {}, KeysThatEnd(3));
  ScriptedServer agent([&](const Request&) { return Reply{answer}; });
  AwsNodeKeys keys = With({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.Url("/v1/credentials")}});
  auto first = keys.Get({});
  ASSERT_TRUE(first && *first);
  answer = HttpAnswer(503, {}, "");
  bool tried = false, ended = false;
  // They live for two to three seconds, and half of it without being renewed.
  auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!ended && std::chrono::steady_clock::now() < give_up) {
    bool may_have_ended = std::chrono::steady_clock::now() >= (*first)->end;
    auto got = keys.Get({});
    ended = !got;
    ASSERT_TRUE(got || may_have_ended || std::chrono::steady_clock::now() >= (*first)->end)
        << got.error().message;
    tried = tried || (got && agent.Requests().size() == 2);
  }
  EXPECT_TRUE(tried) << "asked, got nothing, and went on with the old ones";
  EXPECT_TRUE(ended);
}

TEST(AwsNodeKeysTest, OnlyWhatIsNoServiceOfAwsMeansThatThereAreNone) {
  for (int status : {400, 403, 404, 405}) {
    ScriptedServer imds([&](const Request&) { return Reply{HttpAnswer(status, {}, "")}; });
    AwsNodeKeys keys = With({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}});
    EXPECT_FALSE(*keys.Get({})) << status;
  }
  for (int status : {408, 429, 500, 503}) {
    ScriptedServer imds([&](const Request&) { return Reply{HttpAnswer(status, {}, "")}; });
    AwsNodeKeys keys = With({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}});
    EXPECT_FALSE(keys.Get({})) << status;
    EXPECT_FALSE(keys.Get({})) << "not remembered";
    EXPECT_EQ(imds.Requests().size(), 2U);
  }
}

TEST(AwsNodeKeysTest, AnInstanceThatHadARoleIsNotWithoutOne) {
  bool has_role = true;
  ScriptedServer imds([&](const Request& request) {
    if (!has_role) return Reply{HttpAnswer(404, {}, "")};
    if (request.method == "PUT") return Reply{HttpAnswer(200, {}, "session")};
    return Reply{HttpAnswer(200, {}, request.target.ends_with('/') ? "my-role" : KeysThatEnd(0))};
  });
  AwsNodeKeys keys = With({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.Url("")}});
  ASSERT_TRUE(*keys.Get({}));
  has_role = false;
  auto got = keys.Get({});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace weighhouse::source
