#include "agent/event_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/agent/fake_api.h"
#include "test/agent/publishes.h"
#include "test/support/captured_log.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;
using source::HttpMethod;
using Outcome = SendResult::Outcome;

class EventSenderTest : public testing::Test {
 protected:
  SendResult Send() { return sender_.Send(announcement_, {}); }
  std::string EventPath() const {
    return "/api/v1/namespaces/default/events/" + announcement_.place.event_name;
  }

  FakeApi api_;
  EventSender sender_{api_, "node-1"};
  Announcement announcement_{.place = PlaceOf(PublishOf("a")).value(),
                             .text = {.reason = "ModelReady", .message = "ready"},
                             .count = 1};
};

TEST_F(EventSenderTest, MakesAnEvent) {
  api_.Answers(201, R"({"count":1})");
  SendResult result = Send();
  EXPECT_EQ(result.outcome, Outcome::kDone);
  EXPECT_EQ(result.count, 1);
  ASSERT_EQ(api_.requests.size(), 1U);
  EXPECT_EQ(api_.requests[0].method, HttpMethod::kPost);
  EXPECT_EQ(api_.requests[0].path, "/api/v1/namespaces/default/events");
  EXPECT_EQ(json::parse(api_.requests[0].body)["reason"], "ModelReady");
}

TEST_F(EventSenderTest, ChangesOneThatIsThere) {
  announcement_.exists = true;
  announcement_.count = 5;
  api_.Answers(200, R"({"count":5})");
  EXPECT_EQ(Send().count, 5);
  ASSERT_EQ(api_.requests.size(), 1U);
  EXPECT_EQ(api_.requests[0].method, HttpMethod::kPatch);
  EXPECT_EQ(api_.requests[0].path, EventPath());
  EXPECT_EQ(json::parse(api_.requests[0].body)["count"], 5);
}

TEST_F(EventSenderTest, ChangesTheOneOfAnAgentBeforeItWithoutCountingAnew) {
  api_.Answers(409);
  api_.Answers(200, R"({"count":8})");
  SendResult result = Send();
  EXPECT_EQ(result.outcome, Outcome::kDone);
  EXPECT_EQ(result.count, 8);
  ASSERT_EQ(api_.requests.size(), 2U);
  EXPECT_EQ(api_.requests[1].method, HttpMethod::kPatch);
  EXPECT_FALSE(json::parse(api_.requests[1].body).contains("count"));
}

TEST_F(EventSenderTest, MakesAnewWhatIsGone) {
  announcement_.exists = true;
  announcement_.count = 5;
  api_.Answers(404);
  api_.Answers(201, R"({"count":5})");
  EXPECT_EQ(Send().outcome, Outcome::kDone);
  ASSERT_EQ(api_.requests.size(), 2U);
  EXPECT_EQ(api_.requests[1].method, HttpMethod::kPost);
  EXPECT_EQ(json::parse(api_.requests[1].body)["count"], 5);
}

TEST_F(EventSenderTest, DropsWhatIsOfANamespaceThatGoes) {
  api_.Answers(403,
               R"({"kind":"Status","details":{"causes":[{"reason":"NamespaceTerminating"}]}})");
  EXPECT_EQ(Send().outcome, Outcome::kDropped);
  announcement_.exists = true;
  api_.Answers(404);
  api_.Answers(404);
  EXPECT_EQ(Send().outcome, Outcome::kDropped);
}

TEST_F(EventSenderTest, TriesAgainWhereARightIsMissingAndNeverWhatIsInvalid) {
  for (const char* body : {"{}", "", "[]", R"({"details":[]})", R"({"details":{"causes":{}}})",
                           R"({"details":{"causes":[1,{"reason":3}]}})"}) {
    api_.Answers(403, body);
    EXPECT_EQ(Send().outcome, Outcome::kLater) << body;
  }
  api_.Answers(422, R"({"message":"Event is invalid"})");
  EXPECT_EQ(Send().outcome, Outcome::kDropped);
  api_.Answers(413);
  EXPECT_EQ(Send().outcome, Outcome::kDropped);
}

TEST_F(EventSenderTest, LeavesAServerAloneThatIsAway) {
  api_.Answers(ApiAnswer{.status = 429, .retry_after = std::chrono::seconds(3)});
  SendResult result = Send();
  EXPECT_EQ(result.outcome, Outcome::kServerAway);
  EXPECT_EQ(result.retry_after, std::chrono::seconds(3));
  for (int status : {302, 401, 408, 500, 503, 504}) {
    api_.Answers(status, "<html>");
    EXPECT_EQ(Send().outcome, Outcome::kServerAway) << status;
  }
  api_.Fails({.code = Code::kUnavailable, .message = "can't connect"});
  EXPECT_EQ(Send().outcome, Outcome::kServerAway);
}

TEST_F(EventSenderTest, TellsOnceWhyTheServerIsAwayAndThatItIsBack) {
  CapturedLog log;
  for (int each = 0; each < 3; ++each) {
    api_.Fails({.code = Code::kUnavailable, .message = "can't connect"});
    Send();
  }
  size_t first = log.text().find(" warning the Kubernetes API can't be asked: can't connect");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(log.text().find(" warning ", first + 1), std::string::npos);
  api_.Answers(401);
  Send();
  EXPECT_THAT(log.text(),
              testing::HasSubstr(" warning the Kubernetes API takes no events now: HTTP 401"));
  api_.Fails({.code = Code::kCancelled, .message = "stopped"});
  Send();
  EXPECT_THAT(log.text(), testing::Not(testing::HasSubstr("stopped")));
  api_.Answers(201);
  Send();
  EXPECT_THAT(log.text(), testing::HasSubstr(" info the Kubernetes API takes events again"));
}

TEST_F(EventSenderTest, DoesNotGoInCirclesWhereAnEventComesAndGoes) {
  api_.Answers(409);
  api_.Answers(404);
  EXPECT_EQ(Send().outcome, Outcome::kLater);
  announcement_.exists = true;
  api_.Answers(404);
  api_.Answers(409);
  EXPECT_EQ(Send().outcome, Outcome::kLater);
  EXPECT_EQ(api_.requests.size(), 4U);
}

}  // namespace
}  // namespace weighhouse::agent
