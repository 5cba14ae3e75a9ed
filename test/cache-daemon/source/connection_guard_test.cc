// Where sources may be: judged by the address that a connection really goes to.

#include "cache-daemon/source/connection_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/redirects.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

ConnectionRules Allowing(std::initializer_list<const char*> ranges) {
  ConnectionRules rules;
  for (const char* range : ranges) {
    rules.allow_addresses.push_back(AddressRange::Parse(range).value());
  }
  return rules;
}

Code AddressCode(const ConnectionRules& rules, const char* url, const char* address) {
  Result<> allowed =
      CheckAddress(rules, Url::Parse(url).value(), IpAddress::Parse(address).value());
  return allowed ? Code{} : allowed.error().code;
}

TEST(ConnectionPolicyTest, PrivateAddressesNeedHttpsOrAnAdminsWord) {
  constexpr Code kRefused = Code::kPermissionDenied;
  EXPECT_EQ(AddressCode({}, "http://h/", "8.8.8.8"), Code{});
  EXPECT_EQ(AddressCode({}, "https://h/", "10.0.0.1"), Code{});
  EXPECT_EQ(AddressCode({}, "http://h/", "10.0.0.1"), kRefused);
  EXPECT_EQ(AddressCode(Allowing({"10.0.0.0/8"}), "http://h/", "10.0.0.1"), Code{});
  EXPECT_EQ(AddressCode(Allowing({"10.1.0.0/16"}), "http://h/", "10.0.0.1"), kRefused);
}

TEST(ConnectionPolicyTest, OtherAddressesNeedAnAdminsWord) {
  for (const char* address : {"127.0.0.1", "169.254.169.254", "fe80::1", "::1", "0.0.0.0",
                              "::", "fd00:ec2::254", "224.0.0.1", "255.255.255.255",
                              "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"}) {
    EXPECT_EQ(AddressCode({}, "https://h/", address), Code::kPermissionDenied) << address;
    EXPECT_EQ(AddressCode(Allowing({"0.0.0.0/0", "::/0"}), "https://h/", address), Code{});
  }
}

TEST(ConnectionPolicyTest, WhatTheConfigurationNamesItselfMayBeAnywhere) {
  ConnectionRules rules{.endpoints = {"http://hub:8080"}};
  EXPECT_EQ(AddressCode(rules, "http://hub:8080/a", "127.0.0.1"), Code{});
  EXPECT_TRUE(CheckScheme(rules, Url::Parse("http://hub:8080/a").value()));
  for (const char* other :
       {"http://hub/", "http://hub:8081/", "https://hub:8080/", "http://hub.evil:8080/"}) {
    EXPECT_EQ(AddressCode(rules, other, "127.0.0.1"), Code::kPermissionDenied) << other;
  }
}

TEST(ConnectionPolicyTest, BucketsMayHaveHostsBelowTheEndpointThatTheConfigurationNames) {
  ConnectionRules rules{.bucket_endpoint = Url::Parse("http://minio.svc:9000").value()};
  EXPECT_EQ(AddressCode(rules, "http://my.bucket.minio.svc:9000/key", "10.0.0.1"), Code{});
  EXPECT_TRUE(CheckScheme(rules, Url::Parse("http://bucket.minio.svc:9000/key").value()));
  for (const char* other :
       {"http://bucket.minio.svc/", "http://evilminio.svc:9000/", "http://minio.svc.evil:9000/"}) {
    EXPECT_EQ(AddressCode(rules, other, "10.0.0.1"), Code::kPermissionDenied) << other;
  }
}

TEST(ConnectionPolicyTest, PlainHttpMustBeAllowed) {
  Url elsewhere = Url::Parse("http://models.example/f").value();
  Result<> refused = CheckScheme({}, elsewhere);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("sources.http.allowPlain"));
  EXPECT_TRUE(CheckScheme({.allow_plain_http = true}, elsewhere));
  EXPECT_TRUE(CheckScheme({}, Url::Parse("http://localhost/f").value()));
}

class ConnectionGuardTest : public testing::Test {
 protected:
  Result<HttpResponse> Send(const std::string& url, UrlFrom from = UrlFrom::kSource) {
    return client_.Send({.url = url, .url_from = from}, {});
  }
  void ExpectRefused(const std::string& url, const std::string& reason) {
    Result<HttpResponse> answer = Send(url);
    ASSERT_FALSE(answer) << url;
    EXPECT_EQ(answer.error().code, Code::kPermissionDenied) << answer.error().message;
    EXPECT_THAT(answer.error().message, AllOf(HasSubstr(reason), HasSubstr("allowAddresses")));
  }

  ScriptedServer server_{[](const Request&) { return Reply{HttpAnswer(200, {}, "x")}; }};
  std::shared_ptr<ConnectionPolicy> policy_ = std::make_shared<ConnectionPolicy>();
  HttpClient client_{{.policy = policy_}};
};

TEST_F(ConnectionGuardTest, TheLoopbackIsRefusedByAddressAndByName) {
  policy_->Set({.allow_plain_http = true});
  ExpectRefused(server_.Url("/"), "127.0.0.1, a loopback address");
  ExpectRefused(server_.Url("/", "localhost"), "a loopback address");
  ExpectRefused(server_.Url("/", "2130706433"), "a loopback address");
  ExpectRefused(server_.Url("/", "[::ffff:127.0.0.1]"), "a loopback address");
  EXPECT_THAT(server_.Requests(), IsEmpty());
  policy_->Set(Allowing({"127.0.0.1", "::1"}));
  EXPECT_TRUE(Send(server_.Url("/", "localhost")));
}

TEST_F(ConnectionGuardTest, AKeptConnectionIsJudgedAgain) {
  policy_->Set(Allowing({"127.0.0.1", "::1"}));
  ASSERT_TRUE(Send(server_.Url("/", "localhost")));
  policy_->Set({});
  ExpectRefused(server_.Url("/", "localhost"), "a loopback address");
  EXPECT_EQ(server_.Requests().size(), 1U);
}

TEST_F(ConnectionGuardTest, ARedirectLeadsNowhereElseThanAUrlMay) {
  std::string location;
  ScriptedServer hub(
      [&](const Request&) { return Reply{HttpAnswer(302, {"Location: " + location}, "")}; });
  policy_->Set({.allow_plain_http = true, .endpoints = {hub.Url("")}});
  for (std::string target :
       {server_.Url("/", "localhost"), server_.Url("/"), std::string("http://169.254.169.254/"),
        std::string("http://[fd00:ec2::254]/latest"), std::string("http://10.0.0.1/"),
        std::string("http://0.0.0.0/")}) {
    location = target;
    auto answer = SendRedirected(client_, {.url = Url::Parse(hub.Url("/")).value()}, {});
    ASSERT_FALSE(answer) << target;
    EXPECT_EQ(answer.error().code, Code::kPermissionDenied) << answer.error().message;
  }
  for (const char* target : {"ftp://h/", "file:///etc/passwd", "gopher://h/"}) {
    location = target;
    auto answer = SendRedirected(client_, {.url = Url::Parse(hub.Url("/")).value()}, {});
    ASSERT_FALSE(answer) << target;
  }
  EXPECT_THAT(server_.Requests(), IsEmpty());
}

TEST_F(ConnectionGuardTest, TransfersGoByTheSameRule) {
  auto transport = CreateTransport({.policy = policy_}).value();
  RecordingSink sink;
  TransferEnd end = Bring(*transport, {.url = server_.Url("/f", "localhost")}, std::nullopt, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kPermissionDenied) << end.status.error().message;
  EXPECT_THAT(server_.Requests(), IsEmpty());
  policy_->Set(Allowing({"127.0.0.1", "::1"}));
  RecordingSink allowed;
  EXPECT_TRUE(
      Bring(*transport, {.url = server_.Url("/f", "localhost")}, std::nullopt, allowed).status);
}

TEST_F(ConnectionGuardTest, TheProgramsOwnQuestionsGoAnywhere) {
  EXPECT_TRUE(Send(server_.Url("/"), UrlFrom::kProgram));
  policy_->Set({.proxies = {.http = "http://127.0.0.1:1"}});
  EXPECT_TRUE(Send(server_.Url("/"), UrlFrom::kProgram));
  ExpectRefused(server_.Url("/"), "a loopback address");
}

TEST_F(ConnectionGuardTest, AProxyIsAskedAtItsOwnAddressForWhatTheUrlMayName) {
  std::string proxy = server_.Url("", "user:canary@127.0.0.1");
  policy_->Set({.allow_plain_http = true, .proxies = {.http = proxy}});
  ASSERT_TRUE(Send("http://models.example/f"));
  std::string head = server_.Requests()[0].head;
  EXPECT_THAT(head, HasSubstr("GET http://models.example/f HTTP/1.1"));
  EXPECT_THAT(head, HasSubstr("Proxy-Authorization: Basic dXNlcjpjYW5hcnk="));
  ExpectRefused("http://169.254.169.254/latest", "a link-local address");
  ExpectRefused("http://10.0.0.1/", "over plain http");
  EXPECT_EQ(server_.Requests().size(), 1U);
  ExpectRefused(server_.Url("/", "localhost"), "a loopback address");
}

TEST_F(ConnectionGuardTest, WhatAProxySaysOfItselfIsTemporary) {
  for (const char* proxy : {"http://user:canary@127.0.0.1:1", "http://user:ca@nary@127.0.0.1:1"}) {
    policy_->Set({.allow_plain_http = true, .proxies = {.http = proxy, .https = proxy}});
    for (const char* url : {"http://models.example/f", "https://models.example/f"}) {
      Result<HttpResponse> answer = Send(url);
      ASSERT_FALSE(answer);
      EXPECT_EQ(answer.error().code, Code::kUnavailable) << answer.error().message;
      EXPECT_THAT(answer.error().message, Not(HasSubstr("nary")));
    }
  }
}

}  // namespace
}  // namespace weighhouse::source
