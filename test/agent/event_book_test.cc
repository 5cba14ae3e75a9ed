#include "agent/event_book.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/agent/publishes.h"

namespace weighhouse::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Outcome = SendResult::Outcome;

/// A book at a clock that the test moves, and a server that takes everything unless it is told.
class EventBookTest : public testing::Test {
 protected:
  /// The daemon lists these now.
  void Lists(std::initializer_list<pb::Publish> publishes) {
    pb::PublishesUpdate update;
    for (const pb::Publish& publish : publishes) *update.add_publishes() = publish;
    book_.Take(update, now_, Wall());
  }
  /// Sends all that is due; returns the messages.
  std::vector<std::string> Told(const SendResult& result = {}) {
    std::vector<std::string> messages;
    while (std::optional<Announcement> due = book_.Next(now_, Wall())) {
      messages.push_back(due->text.reason);
      last_ = *due;
      SendResult counted = result;
      if (result.outcome == Outcome::kDone) counted.count = due->count.value_or(7);
      book_.Settle(counted, now_);
    }
    return messages;
  }
  void Pass(milliseconds time) { now_ += time; }
  EventBook::WallTime Wall() const { return EventBook::WallTime(seconds(1000)) + (now_ - kStart); }
  /// Until something is due, at the furthest `most`.
  milliseconds UntilNext(milliseconds most = seconds(100'000)) {
    return std::chrono::ceil<milliseconds>(
        std::min<EventBook::Time::duration>(most, book_.NextAt(now_) - now_));
  }

  static constexpr EventBook::Time kStart{seconds(50'000)};
  EventBook::Time now_ = kStart;
  EventBook book_{EventLimits(), 1, kStart};
  Announcement last_;
};

TEST_F(EventBookTest, TellsAWarmPublishOnceWhenItIsReady) {
  Lists({Resolving(PublishOf("a"))});
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(UntilNext(), seconds(1));
  Pass(milliseconds(300));
  Lists({Ready(PublishOf("a"), 300, false)});
  EXPECT_THAT(Told(), ElementsAre("ModelReady"));
  EXPECT_FALSE(last_.exists);
  EXPECT_EQ(last_.count, 1);
  Pass(seconds(3600));
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(book_.NextAt(now_), EventBook::Time::max());
}

TEST_F(EventBookTest, TellsEachStageAtOnceInOneEventThatChanges) {
  Lists({Resolving(PublishOf("a"))});
  Pass(seconds(1));
  EXPECT_THAT(Told(), ElementsAre("ModelResolving"));
  std::string name = last_.place.event_name;
  Pass(seconds(1));
  Lists({Filling(PublishOf("a"), 10)});
  EXPECT_THAT(Told(), ElementsAre("ModelFilling"));
  EXPECT_TRUE(last_.exists);
  EXPECT_EQ(last_.count, 2);
  Pass(seconds(1));
  Lists({Ready(PublishOf("a"), 3000)});
  EXPECT_THAT(Told(), ElementsAre("ModelReady"));
  EXPECT_EQ(last_.count, 3);
  EXPECT_EQ(last_.place.event_name, name);
  EXPECT_EQ(last_.first, EventBook::WallTime(seconds(1000)));
}

TEST_F(EventBookTest, TellsProgressEveryTenSecondsAndOnlyIfItMoved) {
  Pass(seconds(1));
  Lists({Filling(PublishOf("a"), 1)});
  EXPECT_THAT(Told(), ElementsAre("ModelFilling"));
  int told = 0;
  for (uint64_t second = 1; second <= 60; ++second) {
    Pass(seconds(1));
    Lists({Filling(PublishOf("a"), 1 + second)});
    told += static_cast<int>(Told().size());
  }
  EXPECT_EQ(told, 6);
  Pass(seconds(60));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(EventBookTest, RepeatsWhatIsStillSoBeforeTheEventGoes) {
  Lists({Refused(PublishOf("a"), "gated")});
  EXPECT_THAT(Told(), ElementsAre("ModelRefused"));
  EXPECT_EQ(UntilNext(), milliseconds(600'000));
  Pass(milliseconds(600'000));
  EXPECT_THAT(Told(), ElementsAre("ModelRefused"));
  EXPECT_EQ(last_.last, Wall());
  EXPECT_EQ(last_.count, 2);
}

TEST_F(EventBookTest, KeepsARefusalWhileKubeletTriesAgain) {
  Lists({Refused(PublishOf("a"), "gated")});
  EXPECT_THAT(Told(), ElementsAre("ModelRefused"));
  for (int attempt = 0; attempt < 5; ++attempt) {
    Pass(seconds(20));
    Lists({Resolving(PublishOf("a"))});
    EXPECT_THAT(Told(), IsEmpty());
    Pass(seconds(1));
    Lists({Refused(PublishOf("a"), "gated")});
    EXPECT_THAT(Told(), IsEmpty());
  }
  Lists({Filling(PublishOf("a"), 1)});
  EXPECT_THAT(Told(), ElementsAre("ModelFilling"));
}

/// What the daemon says of a model that nobody may have: each of kubelet's tries is a new publish,
/// and after two minutes, just before the next, the last one is no longer listed.
TEST_F(EventBookTest, TellsARefusalForGoodEveryTenMinutesHoweverOftenKubeletTries) {
  std::vector<std::string> told;
  for (int attempt = 0; attempt < 30; ++attempt) {
    pb::Publish publish = PublishOf("a");
    publish.set_since_unix_ms(1'000'000 + attempt * 122'000);
    Lists({Resolving(publish)});
    Pass(seconds(2));
    std::ranges::copy(Told(), std::back_inserter(told));
    Lists({Refused(publish, "gated")});
    std::ranges::copy(Told(), std::back_inserter(told));
    Pass(seconds(119));
    Lists({});
    Pass(seconds(1));
    EXPECT_THAT(Told(), IsEmpty());
  }
  // "Resolving" of the first, which took two seconds, and then the refusal: an hour of it.
  std::vector<std::string> wanted(1 + 6, "ModelRefused");
  wanted.front() = "ModelResolving";
  EXPECT_EQ(told, wanted);
  EXPECT_EQ(last_.count, 7);
  Pass(seconds(700));
  EXPECT_THAT(Told(), IsEmpty());
  EXPECT_EQ(book_.size(), 0U);
}

TEST_F(EventBookTest, BoundsWhatAVolumeThatComesAndGoesCosts) {
  size_t told = 0;
  for (int each = 0; each < 100; ++each) {
    pb::Publish publish = PublishOf("a");
    publish.set_since_unix_ms(1'000'000 + each * 1000);
    Pass(seconds(1));
    Lists({Ready(publish, 1)});
    told += Told().size();
  }
  EXPECT_LE(told, 4U + 10U);
  EXPECT_GE(told, 10U);
}

TEST_F(EventBookTest, KeepsNoMoreThanItCan) {
  for (int pod = 0; pod < 5000; ++pod) {
    Lists({Refused(PublishOf(std::to_string(pod)), "gated")});
    ASSERT_LE(book_.size(), 4096U);
  }
  EXPECT_GT(book_.size(), 0U);
}

TEST_F(EventBookTest, BoundsWhatOneFlappingPodCosts) {
  int told = 0;
  for (int each = 0; each < 100; ++each) {
    Pass(seconds(1));
    Lists({each % 2 == 0 ? Filling(PublishOf("a"), 1) : Refused(PublishOf("a"), "x")});
    told += static_cast<int>(Told().size());
  }
  EXPECT_LE(told, 4 + 10);
  EXPECT_GE(told, 10);
}

TEST_F(EventBookTest, BoundsWhatAllPodsCostTheEndsFirst) {
  Pass(seconds(2));
  pb::PublishesUpdate update;
  for (int pod = 0; pod < 30; ++pod) {
    std::string name = "p" + std::to_string(pod);
    *update.add_publishes() = Filling(PublishOf(name, name), 1);
  }
  for (int pod = 0; pod < 5; ++pod) {
    std::string name = "q" + std::to_string(pod);
    *update.add_publishes() = Ready(PublishOf(name, name), 1);
  }
  book_.Take(update, now_, Wall());
  std::vector<std::string> told = Told();
  ASSERT_EQ(told.size(), 20U);
  for (size_t each = 0; each < told.size(); ++each) {
    EXPECT_EQ(told[each], each < 5 ? "ModelReady" : "ModelFilling");
  }
  EXPECT_EQ(UntilNext(), milliseconds(500));
  for (int half_second = 0; half_second < 15; ++half_second) {
    Pass(milliseconds(500));
    EXPECT_EQ(Told().size(), 1U);
  }
  Pass(milliseconds(500));
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(EventBookTest, GoesOnWithTheEventOfAnotherBeforeIt) {
  Lists({Refused(PublishOf("a"), "x")});
  std::optional<Announcement> first = book_.Next(now_, Wall());
  book_.Settle({.count = 9}, now_);  // it was there: the server's answer tells how often
  EXPECT_EQ(first->count, 1);
  Pass(seconds(20));
  Lists({Ready(PublishOf("a"), 1)});
  Told();
  EXPECT_EQ(last_.count, 10);
}

TEST_F(EventBookTest, LetsTheServerCountWhereItDidNotSay) {
  Lists({Refused(PublishOf("a"), "x")});
  ASSERT_TRUE(book_.Next(now_, Wall()));
  book_.Settle({}, now_);
  Pass(seconds(20));
  Lists({Ready(PublishOf("a"), 1)});
  std::optional<Announcement> next = book_.Next(now_, Wall());
  ASSERT_TRUE(next);
  EXPECT_TRUE(next->exists);
  EXPECT_EQ(next->count, std::nullopt);
}

TEST_F(EventBookTest, TakesALaterPublishOfTheSameVolumeForANewStory) {
  Lists({Ready(PublishOf("a"), 1)});
  Told();
  pb::Publish again = PublishOf("a");
  again.set_since_unix_ms(1'000'500);
  Pass(seconds(1));
  Lists({Ready(again, 1)});
  EXPECT_THAT(Told(), ElementsAre("ModelReady"));
  EXPECT_TRUE(last_.exists);
  EXPECT_EQ(last_.count, 2);
}

TEST_F(EventBookTest, WaitsLongerWithEachFailureAndThenSaysWhatIsSo) {
  Pass(seconds(2));
  Lists({Filling(PublishOf("a"), 1)});
  EXPECT_EQ(Told({.outcome = Outcome::kServerAway}).size(), 1U);
  EXPECT_EQ(UntilNext(), seconds(1));
  Pass(seconds(1));
  EXPECT_EQ(Told({.outcome = Outcome::kServerAway}).size(), 1U);
  EXPECT_EQ(UntilNext(), seconds(2));
  for (int each = 0; each < 10; ++each) {
    Pass(UntilNext());
    Told({.outcome = Outcome::kServerAway});
  }
  EXPECT_EQ(UntilNext(), seconds(60));
  Lists({Ready(PublishOf("a"), 5)});
  Pass(seconds(60));
  EXPECT_THAT(Told(), ElementsAre("ModelReady"));
}

TEST_F(EventBookTest, ObeysWhatTheServerAsksFor) {
  Lists({Ready(PublishOf("a"), 1), Ready(PublishOf("b", "web-1"), 1)});
  EXPECT_EQ(Told({.outcome = Outcome::kServerAway, .retry_after = seconds(17)}).size(), 1U);
  Pass(milliseconds(16'999));
  EXPECT_THAT(Told(), IsEmpty());
  Pass(milliseconds(1));
  EXPECT_EQ(Told().size(), 2U);
  Lists({Refused(PublishOf("c", "web-2"), "x")});
  Told({.outcome = Outcome::kServerAway, .retry_after = std::chrono::hours(9)});
  EXPECT_EQ(UntilNext(), seconds(600));
}

TEST_F(EventBookTest, OnePodsFailureHoldsUpNoOther) {
  Lists({Ready(PublishOf("a"), 1), Ready(PublishOf("b", "web-1"), 1)});
  ASSERT_TRUE(book_.Next(now_, Wall()));
  book_.Settle({.outcome = Outcome::kLater}, now_);
  EXPECT_EQ(Told().size(), 1U);
  EXPECT_EQ(UntilNext(), seconds(1));
  Pass(seconds(1));
  EXPECT_EQ(Told().size(), 1U);
}

TEST_F(EventBookTest, NeverAsksAgainForWhatIsDropped) {
  Lists({Filling(PublishOf("a"), 1)});
  Pass(seconds(2));
  EXPECT_EQ(Told({.outcome = Outcome::kDropped}).size(), 1U);
  Pass(seconds(100));
  Lists({Ready(PublishOf("a"), 1)});
  EXPECT_THAT(Told(), IsEmpty());
  Lists({});
  EXPECT_EQ(book_.size(), 0U);
}

TEST_F(EventBookTest, ForgetsWhatTheDaemonNoLongerListsButForAnEndToTell) {
  Lists({Filling(PublishOf("a"), 1), Ready(PublishOf("b", "web-1"), 1)});
  Told({.outcome = Outcome::kServerAway});
  Lists({});
  EXPECT_EQ(book_.size(), 1U);
  Pass(seconds(60));
  EXPECT_THAT(Told(), ElementsAre("ModelReady"));
  EXPECT_EQ(book_.size(), 0U);
  Lists({Ready(PublishOf("c", "web-2"), 1)});
  Told({.outcome = Outcome::kServerAway});
  Lists({});
  Pass(seconds(601));
  Told();
  EXPECT_EQ(book_.size(), 0U);
}

TEST_F(EventBookTest, LeavesOutPodsThatKubernetesCouldNotKnow) {
  pb::Publish nobodys = Ready(PublishOf("a"), 1);
  nobodys.mutable_holder()->clear_pod_uid();
  Lists({nobodys, PublishOf("b")});
  EXPECT_EQ(book_.size(), 0U);
}

TEST_F(EventBookTest, NeverSaysThatAPodWaitsSinceTomorrow) {
  pb::Publish publish = Ready(PublishOf("a"), 1);
  publish.set_since_unix_ms(INT64_MAX / 2'000'000);
  Lists({publish});
  Told();
  EXPECT_LE(last_.first, last_.last);
  EXPECT_LE(last_.last, Wall());
}

}  // namespace
}  // namespace weighhouse::agent
