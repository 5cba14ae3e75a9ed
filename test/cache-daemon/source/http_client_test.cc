#include "cache-daemon/source/http_client.h"

#include <algorithm>
#include <future>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/redirects.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using Reply = ScriptedServer::Reply;
using Request = ScriptedServer::Request;

TEST(HttpClientTest, ReturnsEveryStatusAsAnAnswer) {
  ScriptedServer server(
      [](const Request&) { return Reply{HttpAnswer(404, {"X-Error-Code: RepoNotFound"}, "no")}; });
  HttpClient client({.policy = LoopbackPolicy()});
  auto response = client.Send({.url = server.Url("/a?b")}, {});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status(), 404);
  EXPECT_EQ(response->body, "no");
  EXPECT_EQ(response->headers.Find("x-error-code"), "RepoNotFound");
  EXPECT_EQ(server.Requests()[0].target, "/a?b");
}

TEST(HttpClientTest, AsksForPlainContentInItsOwnName) {
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(200, {}, "")}; });
  HttpClient client({.policy = LoopbackPolicy()});
  ASSERT_TRUE(client.Send(
      {.method = HttpMethod::kHead, .url = server.Url("/"), .headers = {"X-A: 1"}}, {}));
  std::string head = server.Requests()[0].head;
  EXPECT_THAT(head, HasSubstr("HEAD / HTTP/1.1"));
  EXPECT_THAT(head, HasSubstr("Accept-Encoding: identity"));
  EXPECT_THAT(head, HasSubstr("User-Agent: weighhouse/"));
  EXPECT_THAT(head, HasSubstr("X-A: 1"));
  ASSERT_TRUE(client.Send({.url = server.Url("/"), .headers = {"Accept-Encoding: gzip"}}, {}));
  EXPECT_THAT(server.Requests()[1].head, HasSubstr("Accept-Encoding: gzip"));
  EXPECT_THAT(server.Requests()[1].head, Not(HasSubstr("identity")));
}

TEST(HttpClientTest, ReusesConnections) {
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(200, {}, "x")}; });
  HttpClient client({.policy = LoopbackPolicy()});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.Send({.url = server.Url("/")}, {}));
  EXPECT_EQ(server.Requests().back().connection, 0);
}

TEST(HttpClientTest, SendsNoHeaderOfAnEarlierRequest) {
  ScriptedServer server([](const Request&) { return Reply{HttpAnswer(200, {}, "x")}; });
  HttpClient client({.policy = LoopbackPolicy()});
  ASSERT_TRUE(
      client.Send({.url = server.Url("/"), .headers = {"Authorization: Bearer canary"}}, {}));
  ASSERT_TRUE(client.Send({.url = server.Url("/")}, {}));
  EXPECT_THAT(server.Requests()[1].head, Not(HasSubstr("canary")));
}

TEST(HttpClientTest, BoundsTheBody) {
  ScriptedServer server(
      [](const Request&) { return Reply{HttpAnswer(200, {}, std::string(2000, 'x'))}; });
  HttpClient client({.policy = LoopbackPolicy()});
  auto response = client.Send({.url = server.Url("/"), .body_limit = 1999}, {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kInvalidArgument);
  EXPECT_TRUE(client.Send({.url = server.Url("/"), .body_limit = 2000}, {}));
}

TEST(HttpClientTest, TakesHeadersAloneWhereTheBodyIsOfNoInterest) {
  ScriptedServer server([](const Request&) {
    return Reply{"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\nxxx", Reply::Then::kHold};
  });
  HttpClient client({.policy = LoopbackPolicy()});
  auto response = client.Send({.url = server.Url("/"), .body_limit = 0}, {});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->headers.Find("content-length"), "5000000000");
}

TEST(HttpClientTest, BoundsTheHeaders) {
  ScriptedServer server([](const Request&) {
    return Reply{HttpAnswer(200, {"X: " + std::string(90'000, 'x')}, "")};
  });
  HttpClient client({.policy = LoopbackPolicy()});
  auto response = client.Send({.url = server.Url("/")}, {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kInvalidArgument);
}

TEST(HttpClientTest, BoundsOneHeaderAndInterimAnswers) {
  std::string head;
  ScriptedServer server([&](const Request&) { return Reply{head, Reply::Then::kClose}; });
  HttpClient client({.policy = LoopbackPolicy()});
  head = "HTTP/1.1 200 OK\r\nX: " + std::string(1'000'000, 'x');
  auto one = client.Send({.url = server.Url("/")}, {});
  head.clear();
  for (int i = 0; i < 5000; ++i) head += "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n";
  head += HttpAnswer(200, {}, "x");
  auto many = client.Send({.url = server.Url("/")}, {});
  for (const auto& response : {one, many}) {
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, Code::kInvalidArgument) << response.error().message;
    EXPECT_THAT(response.error().message, HasSubstr("64 KiB of headers"));
  }
}

TEST(HttpClientTest, LargeBodiesOfAllShareTheirMemory) {
  const std::string body(3 * kMiB, 'x');
  ScriptedServer server([&](const Request& request) {
    std::string head = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.size());
    if (request.target == "/whole") return Reply{head + body};
    return Reply{head + body.substr(1), Reply::Then::kHold};
  });
  HttpClient client({.policy = LoopbackPolicy(), .large_bodies = 8 * kMiB});
  std::stop_source stop;
  std::vector<std::future<Result<HttpResponse>>> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(std::async(std::launch::async, [&] {
      return client.Send({.url = server.Url("/"), .body_limit = 4 * kMiB}, stop.get_token());
    }));
  }
  // Two have room, and wait for their last byte.
  auto ended = [](auto& each) { return each.wait_for(1ms) == std::future_status::ready; };
  auto deadline = std::chrono::steady_clock::now() + 50s;
  while (std::ranges::none_of(all, ended) && std::chrono::steady_clock::now() < deadline) {
  }
  stop.request_stop();
  int refused = 0;
  for (auto& each : all) {
    Result<HttpResponse> response = each.get();
    ASSERT_FALSE(response);
    refused += response.error().code == Code::kUnavailable ? 1 : 0;
  }
  EXPECT_GE(refused, 1);
  EXPECT_TRUE(client.Send({.url = server.Url("/whole"), .body_limit = 4 * kMiB}, {}))
      << "what they had is free again";
}

TEST(HttpClientTest, StopsPromptly) {
  std::promise<void> asked;
  ScriptedServer server([&](const Request&) {
    asked.set_value();
    return Reply{"", Reply::Then::kHold};
  });
  HttpClient client({.policy = LoopbackPolicy()});
  std::stop_source stop;
  auto answer = std::async(std::launch::async,
                           [&] { return client.Send({.url = server.Url("/")}, stop.get_token()); });
  asked.get_future().wait();
  auto begin = std::chrono::steady_clock::now();
  stop.request_stop();
  auto response = answer.get();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kCancelled);
}

TEST(HttpClientTest, BoundsTheTime) {
  ScriptedServer server([](const Request&) { return Reply{"", Reply::Then::kHold}; });
  HttpClient client({.total_timeout = 200ms, .policy = LoopbackPolicy()});
  auto response = client.Send({.url = server.Url("/")}, {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kUnavailable);
  EXPECT_THAT(response.error().message, HasSubstr("no answer in time"));
}

TEST(HttpClientTest, NamesTheServerButNotTheQueryWhenItFails) {
  HttpClient client({.policy = LoopbackPolicy()});
  auto response = client.Send({.url = "http://127.0.0.1:1/a?Signature=canary"}, {});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, Code::kUnavailable);
  EXPECT_THAT(response.error().message, HasSubstr("127.0.0.1:1"));
  EXPECT_THAT(response.error().message, Not(HasSubstr("canary")));
}

TEST(HttpClientTest, ServesSeveralThreads) {
  ScriptedServer server(
      [](const Request& request) { return Reply{HttpAnswer(200, {}, request.target)}; });
  HttpClient client({.policy = LoopbackPolicy()});
  std::vector<std::future<bool>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(std::async(std::launch::async, [&, i] {
      std::string path = fmt::format("/{}", i);
      bool right = true;
      for (int n = 0; n < 10; ++n) {
        auto response = client.Send({.url = server.Url(path)}, {});
        right = right && response && response->body == path;
      }
      return right;
    }));
  }
  for (auto& each : all) EXPECT_TRUE(each.get());
}

RedirectedRequest RequestFor(const std::string& url) {
  return {.url = Url::Parse(url).value(),
          .headers = {"X-Kept: 1"},
          .credentials = {"Authorization: Bearer canary"}};
}

TEST(SendRedirectedTest, KeepsCredentialsOnTheSameOriginOnly) {
  ScriptedServer* other = nullptr;
  ScriptedServer hub([&](const Request& request) {
    if (request.target == "/a") return Reply{HttpAnswer(307, {"Location: /b?x=1"}, "")};
    return Reply{HttpAnswer(302, {"Location: " + other->Url("/c", "localhost")}, "")};
  });
  ScriptedServer cdn([&](const Request& request) {
    if (request.target == "/c") return Reply{HttpAnswer(302, {"Location: " + hub.Url("/d")}, "")};
    return Reply{HttpAnswer(200, {}, "")};
  });
  other = &cdn;
  ScriptedServer back([](const Request&) { return Reply{HttpAnswer(200, {}, "")}; });
  HttpClient client({.policy = LoopbackPolicy()});
  auto stopped = RequestFor(hub.Url("/a"));
  stopped.other_origin = RedirectedRequest::OtherOrigin::kStop;
  auto answer = SendRedirected(client, stopped, {});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->left_origin);
  EXPECT_EQ(answer->url.ToString(), cdn.Url("/c", "localhost"));
  EXPECT_EQ(cdn.Requests().size(), 0U);
  for (const Request& request : hub.Requests()) EXPECT_THAT(request.head, HasSubstr("canary"));
  size_t with_credentials = hub.Requests().size();

  // Followed: to the other origin and back, and on without end.
  EXPECT_FALSE(SendRedirected(client, RequestFor(hub.Url("/a")), {}));
  for (const Request& request : cdn.Requests()) {
    EXPECT_THAT(request.head, Not(HasSubstr("canary")));
    EXPECT_THAT(request.head, HasSubstr("X-Kept: 1"));
  }
  std::vector<Request> asked = hub.Requests();
  ASSERT_GT(asked.size(), with_credentials + 2);
  EXPECT_THAT(asked[with_credentials + 2].head, Not(HasSubstr("canary"))) << "once gone, gone";
}

TEST(SendRedirectedTest, RepeatsNoCredentialsThatARedirectNames) {
  for (const char* location : {"http://canary-token.invalid/", "gopher://canary-token/"}) {
    ScriptedServer server([&](const Request&) {
      return Reply{HttpAnswer(302, {fmt::format("Location: {}", location)}, "")};
    });
    HttpClient client({.policy = LoopbackPolicy()});
    RedirectedRequest request = RequestFor(server.Url("/"));
    request.credentials = {"Authorization: Bearer Canary-Token"};
    auto answer = SendRedirected(client, request, {});
    ASSERT_FALSE(answer);
    EXPECT_THAT(answer.error().message, Not(HasSubstr("canary")));
  }
}

TEST(SendRedirectedTest, EndsAfterFiveRedirects) {
  int asked = 0;
  ScriptedServer server([&](const Request&) {
    return Reply{++asked < 6 ? HttpAnswer(301, {"Location: /next"}, "") : HttpAnswer(200, {}, "")};
  });
  HttpClient client({.policy = LoopbackPolicy()});
  EXPECT_TRUE(SendRedirected(client, RequestFor(server.Url("/")), {}));
  asked = -1;
  auto answer = SendRedirected(client, RequestFor(server.Url("/")), {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
}

TEST(SendRedirectedTest, ShowsEachAnswerOfTheFirstOrigin) {
  ScriptedServer server([](const Request& request) {
    return Reply{request.target == "/" ? HttpAnswer(307, {"Location: /b"}, "")
                                       : HttpAnswer(200, {}, "")};
  });
  HttpClient client({.policy = LoopbackPolicy()});
  auto request = RequestFor(server.Url("/"));
  std::vector<int> seen;
  request.inspect = [&](const HttpResponse& response) -> Result<> {
    seen.push_back(response.status());
    return {};
  };
  EXPECT_TRUE(SendRedirected(client, request, {}));
  EXPECT_EQ(seen, (std::vector<int>{307, 200}));
}

}  // namespace
}  // namespace weighhouse::source
