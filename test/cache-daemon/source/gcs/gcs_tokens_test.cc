#include "cache-daemon/source/gcs/gcs_tokens.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/gcs/gcs_token_answers.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {
namespace {

/// The node's token, for so many seconds.
std::string NodeToken(int seconds) {
  return HttpAnswer(200, {},
                    fmt::format(R"({{"access_token": "node", "expires_in": {}}})", seconds));
}

/// A node whose metadata server answers what the test says.
struct GcsNode {
  std::string answer = NodeToken(3600);
  ScriptedServer server{
      [this](const ScriptedServer::Request&) { return ScriptedServer::Reply{answer}; }};
  GcsTokens Tokens() {
    auto http = std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()});
    auto host = server.Url("").substr(std::string("http://").size());
    return {http, http, [host](const char* name) {
              return name == std::string_view("GCE_METADATA_HOST") ? host : std::string();
            }};
  }
};
const GcsTokenOptions kWithNode{.node_credentials = true};

TEST(GcsTokensTest, AServerInTroubleTakesNoTokenAway) {
  GcsNode node;
  for (int status : {404, 403, 503}) {
    GcsTokens tokens = node.Tokens();
    node.answer = NodeToken(0);  // it has ended as it comes
    ASSERT_TRUE(*tokens.Get({}, kWithNode, {}));
    node.answer = HttpAnswer(status, {}, "");
    auto got = tokens.Get({}, kWithNode, {});
    ASSERT_FALSE(got) << status;
    EXPECT_EQ(got.error().code, Code::kUnavailable);
    EXPECT_FALSE(got.error().rights_may_help);
  }
}

TEST(GcsTokensTest, ARedirectIsTroubleAndNoRefusal) {
  for (auto [status, code] :
       {std::pair{302, Code::kUnavailable}, std::pair{408, Code::kUnavailable},
        std::pair{400, Code::kUnauthenticated}, std::pair{403, Code::kUnauthenticated}}) {
    HttpResponse response;
    ASSERT_TRUE(response.headers.AddLine(fmt::format("HTTP/1.1 {} Text\r\n", status)));
    auto token = ParseGcsToken(response, "the token endpoint", std::chrono::steady_clock::now());
    ASSERT_FALSE(token) << status;
    EXPECT_EQ(token.error().code, code) << status;
  }
}

TEST(GcsTokensTest, GoesOnWithATokenThatCantBeRenewedUntilItEnds) {
  GcsNode node;
  node.answer = NodeToken(4);
  GcsTokens tokens = node.Tokens();
  auto first = tokens.Get({}, kWithNode, {});
  ASSERT_TRUE(first && *first);
  EXPECT_LT((*first)->renew_at, (*first)->good_until);
  node.answer = HttpAnswer(404, {}, "");
  bool ended = false, tried = false;
  auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!ended && std::chrono::steady_clock::now() < give_up) {
    auto got = tokens.Get({}, kWithNode, {});
    ended = !got;
    ASSERT_TRUE(got || std::chrono::steady_clock::now() >= (*first)->good_until);
    tried = tried || (got && node.server.Requests().size() == 2);
  }
  EXPECT_TRUE(tried && ended);
}

TEST(GcsTokensTest, OnlyANodeWithoutServerHasNone) {
  GcsNode node;
  GcsTokens tokens = node.Tokens();
  node.answer = HttpAnswer(503, {}, "");
  EXPECT_FALSE(tokens.Get({}, kWithNode, {}));
  node.answer = HttpAnswer(404, {}, "");
  EXPECT_FALSE(*tokens.Get({}, kWithNode, {}));
}

}  // namespace
}  // namespace weighhouse::source
