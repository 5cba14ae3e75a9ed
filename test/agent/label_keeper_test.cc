#include "agent/label_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "agent/model_id.h"
#include "test/agent/fake_api.h"
#include "test/support/captured_log.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;
using source::HttpMethod;
using std::chrono::seconds;

constexpr LabelKeeper::Time kBegun{seconds(9000)};

class LabelKeeperTest : public testing::Test {
 protected:
  void Caches(std::initializer_list<const char*> models) {
    list_ = pb::ListResponse();
    for (const char* model : models) {
      pb::Snapshot& snapshot = *list_->add_snapshots();
      snapshot.add_references(model);
      snapshot.set_state(pb::Snapshot::COMPLETE);
    }
  }
  LabelKeeper Keeper(size_t most) {
    return LabelKeeper(
        {.node = "node-1", .most = most}, api_, [this](const std::stop_token&) { return list_; },
        kBegun);
  }
  /// The requests since the last call: "GET", or the patch's labels.
  std::vector<std::string> Sent() {
    std::vector<std::string> sent;
    for (const ApiRequest& request : std::exchange(api_.requests, {})) {
      EXPECT_EQ(request.path, "/api/v1/nodes/node-1");
      bool get = request.method == HttpMethod::kGet;
      sent.push_back(get ? "GET" : json::parse(request.body)["metadata"]["labels"].dump());
    }
    return sent;
  }
  static std::string Named(const char* model, const char* value) {
    return json{{std::string(kLabelPrefix) + ModelIdOf(model).value(),
                 value == nullptr ? json() : json(value)}}
        .dump();
  }
  static std::string Node(const char* model) {
    json labels = json::parse(Named(model, "cached"));
    return json{{"metadata", {{"labels", labels}}}}.dump();
  }

  FakeApi api_;
  Result<pb::ListResponse> list_ = pb::ListResponse();
};

constexpr const char* kBare = R"({"metadata":{}})";

TEST_F(LabelKeeperTest, FollowsTheCacheOnceAMinuteAndOnlyWhereItChanged) {
  LabelKeeper keeper = Keeper(2);
  Caches({"hf://a/one"});
  api_.Answers(200, kBare);
  api_.Answers(200);
  keeper.Refresh(kBegun, {});
  EXPECT_THAT(Sent(), testing::ElementsAre("GET", Named("hf://a/one", "cached")));
  EXPECT_EQ(keeper.NextAt(), kBegun + seconds(60));
  Caches({"hf://a/two"});
  keeper.Refresh(kBegun + seconds(59), {});
  EXPECT_THAT(Sent(), testing::IsEmpty());
  Caches({"hf://a/one"});
  keeper.Refresh(kBegun + seconds(60), {});
  EXPECT_THAT(Sent(), testing::IsEmpty());
  Caches({});
  api_.Answers(200, Node("hf://a/one"));
  api_.Answers(200);
  keeper.Refresh(kBegun + seconds(120), {});
  EXPECT_THAT(Sent(), testing::ElementsAre("GET", Named("hf://a/one", nullptr)));
}

TEST_F(LabelKeeperTest, MendsWhatOthersDid) {
  LabelKeeper keeper = Keeper(2);
  Caches({"hf://a/one"});
  api_.Answers(200, Node("hf://a/one"));
  keeper.Refresh(kBegun, {});
  EXPECT_THAT(Sent(), testing::ElementsAre("GET"));
  api_.Answers(200, kBare);
  api_.Answers(200);
  keeper.Refresh(kBegun + seconds(600), {});
  EXPECT_THAT(Sent(), testing::ElementsAre("GET", Named("hf://a/one", "cached")));
}

TEST_F(LabelKeeperTest, LeavesTheLabelsWhileTheDaemonIsAway) {
  LabelKeeper keeper = Keeper(2);
  list_ = Fail(Code::kUnavailable, "away");
  keeper.Refresh(kBegun, {});
  EXPECT_THAT(Sent(), testing::IsEmpty());
}

TEST_F(LabelKeeperTest, TriesAgainWhatFailed) {
  LabelKeeper keeper = Keeper(2);
  Caches({"hf://a/one"});
  api_.Answers(403, R"({"message":"forbidden"})");
  keeper.Refresh(kBegun, {});
  api_.Answers(200, kBare);
  api_.Answers(500);
  keeper.Refresh(kBegun + seconds(60), {});
  api_.Answers(200, kBare);
  api_.Answers(200);
  keeper.Refresh(kBegun + seconds(120), {});
  EXPECT_EQ(Sent().size(), 5U);
}

TEST_F(LabelKeeperTest, TellsOnceWhatFailsAndNothingOfAnEnd) {
  CapturedLog log;
  LabelKeeper keeper = Keeper(0);
  for (int each = 0; each < 3; ++each) {
    api_.Answers(403, R"({"message":"no right"})");
    keeper.Refresh(kBegun + seconds(60 * each), {});
  }
  size_t first = log.text().find("the labels of node node-1 can't be kept: HTTP 403: no right");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(log.text().find("no right", first + 80), std::string::npos);
  api_.Fails({.code = Code::kCancelled, .message = "stopped"});
  keeper.Refresh(kBegun + seconds(180), {});
  EXPECT_FALSE(log.text().contains("stopped"));
}

TEST_F(LabelKeeperTest, TakesAllOffForNoneAndThenLeavesTheNodeAlone) {
  LabelKeeper keeper = Keeper(0);
  list_ = Fail(Code::kUnavailable, "away");  // the daemon isn't needed
  api_.Answers(500);
  keeper.Refresh(kBegun, {});
  EXPECT_EQ(keeper.NextAt(), kBegun + seconds(60));
  Sent();
  api_.Answers(200, Node("hf://a/one"));
  api_.Answers(200);
  keeper.Refresh(kBegun + seconds(60), {});
  EXPECT_THAT(Sent(), testing::ElementsAre("GET", Named("hf://a/one", nullptr)));
  EXPECT_EQ(keeper.NextAt(), LabelKeeper::Time::max());
}

}  // namespace
}  // namespace weighhouse::agent
