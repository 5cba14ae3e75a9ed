#include "cache-daemon/engine/publish_board.h"

#include <atomic>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "test/cache-daemon/engine/manual_clock.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;
using Filling = PublishView::Filling;
using Ready = PublishView::Ready;
using Refused = PublishView::Refused;
using Resolving = PublishView::Resolving;

/// On time that the test moves.
class PublishBoardTest : public ::testing::Test {
 protected:
  PublishView Publish(const std::string& lease) const {
    return {.lease_id = lease,
            .holder = {.pod_name = "pod-" + lease},
            .model = "hf://acme/tiny",
            .since = clock_.Now(),
            .state = Resolving{}};
  }
  PublishBoard::Writer Begin(const std::string& lease) { return board_.Begin(Publish(lease)); }
  static Filling Done(Bytes bytes) {
    return {"id", "rev", {.bytes_total = 100, .bytes_done = bytes}};
  }
  static Refused No(Code code) { return {{code, "no"}}; }

  std::vector<std::string> Leases() {
    std::vector<std::string> leases;
    for (const PublishView& publish : board_.View()) leases.push_back(publish.lease_id);
    return leases;
  }
  /// What state the lease is in, if it is there and in that state.
  template <class State>
  std::optional<State> StateOf(const std::string& lease) {
    for (const PublishView& publish : board_.View()) {
      const State* state = std::get_if<State>(&publish.state);
      if (publish.lease_id == lease && state != nullptr) return *state;
    }
    return std::nullopt;
  }

  ManualClock clock_;
  PublishBoard board_{clock_, 3};
};

TEST_F(PublishBoardTest, ShowsAPublishFromItsFirstAcquireToItsEnd) {
  auto since = clock_.Now();
  PublishBoard::Writer writer = Begin("a");
  ASSERT_TRUE(StateOf<Resolving>("a"));
  EXPECT_EQ(board_.View()[0].holder.pod_name, "pod-a");
  EXPECT_EQ(board_.View()[0].model, "hf://acme/tiny");
  clock_.Advance(1s);
  writer.Write(Done(40));
  ASSERT_TRUE(StateOf<Filling>("a"));
  EXPECT_EQ(StateOf<Filling>("a")->progress.bytes_done, 40u);
  writer.Write(Ready{.took = 1500ms, .cold = true, .bytes = 100});
  ASSERT_TRUE(StateOf<Ready>("a"));
  EXPECT_EQ(StateOf<Ready>("a")->took, 1500ms);
  EXPECT_EQ(board_.View()[0].since, since);
}

TEST_F(PublishBoardTest, WhatEndedStaysForTwoMinutes) {
  Begin("ready").Write(Ready{});
  Begin("refused").Write(No(Code::kPermissionDenied));
  clock_.Advance(2min);
  EXPECT_EQ(Leases().size(), 2u);
  clock_.Advance(1ms);
  EXPECT_TRUE(Leases().empty());
}

TEST_F(PublishBoardTest, ATryThatKubeletRepeatsIsNoRefusal) {
  for (Code code : {Code::kAborted, Code::kCancelled, Code::kDeadlineExceeded}) {
    PublishBoard::Writer writer = Begin("a");
    writer.Write(Done(40));
    writer.Write(No(code));
    EXPECT_TRUE(StateOf<Filling>("a")) << CodeName(code);
  }
}

TEST_F(PublishBoardTest, ARepetitionGoesOnWhereTheLastTryWas) {
  auto since = clock_.Now();
  Begin("a").Write(Done(40));
  clock_.Advance(2min);
  PublishBoard::Writer again = Begin("a");
  EXPECT_TRUE(StateOf<Filling>("a")) << "it didn't go back to asking what the model is";
  EXPECT_EQ(board_.View()[0].since, since);
  again.Write(No(Code::kUnavailable));
  ASSERT_TRUE(StateOf<Refused>("a"));
  EXPECT_EQ(StateOf<Refused>("a")->error.code, Code::kUnavailable);
}

TEST_F(PublishBoardTest, AfterARefusalItIsAskedAnew) {
  auto since = clock_.Now();
  Begin("for-now").Write(No(Code::kUnavailable));
  Begin("for-good").Write(No(Code::kPermissionDenied));
  clock_.Advance(1min);
  PublishBoard::Writer first = Begin("for-now"), second = Begin("for-good");
  EXPECT_TRUE(StateOf<Resolving>("for-now"));
  EXPECT_TRUE(StateOf<Resolving>("for-good"));
  EXPECT_EQ(board_.View()[0].since, since) << "the same wait";
  EXPECT_EQ(board_.View()[1].since, since + 1min) << "kubelet tries another";
  EXPECT_EQ(Leases(), (std::vector<std::string>{"for-now", "for-good"}));
}

TEST_F(PublishBoardTest, WhatIsReadyStaysSoUntilItFillsAgain) {
  Begin("a").Write(Ready{.took = 1500ms});
  PublishBoard::Writer again = Begin("a");
  EXPECT_TRUE(StateOf<Ready>("a"));
  again.Write(Ready{.took = 1ms});
  again.Write(No(Code::kAlreadyExists));
  ASSERT_TRUE(StateOf<Ready>("a"));
  EXPECT_EQ(StateOf<Ready>("a")->took, 1500ms);
  again.Write(Done(40));
  EXPECT_TRUE(StateOf<Filling>("a"));
  clock_.Advance(3min);
  EXPECT_TRUE(StateOf<Filling>("a")) << "it waits again";
}

TEST_F(PublishBoardTest, WhatIsReleasedGoesAndIsHeardNoMore) {
  PublishBoard::Writer waiting = Begin("waiting");
  Begin("ready").Write(Ready{});
  for (const char* lease : {"waiting", "ready", "unknown"}) board_.Release(lease);
  EXPECT_TRUE(Leases().empty());
  PublishBoard::Writer next = Begin("waiting");
  waiting.Write(Done(40));
  waiting.Write(No(Code::kNotFound));
  EXPECT_TRUE(StateOf<Resolving>("waiting")) << "another pod's";
}

/// The plugin releases a publish that was refused for good, at once: it would never be seen.
TEST_F(PublishBoardTest, ARefusalOutlivesItsRelease) {
  PublishBoard::Writer writer = Begin("for-good");
  writer.Write(No(Code::kPermissionDenied));
  Begin("for-now").Write(No(Code::kUnavailable));
  board_.Release("for-good");
  board_.Release("for-now");
  EXPECT_EQ(Leases(), std::vector<std::string>{"for-good"});
  writer.Write(Done(40));
  EXPECT_TRUE(StateOf<Refused>("for-good")) << "it was released";
  clock_.Advance(2min + 1ms);
  EXPECT_TRUE(Leases().empty());
}

TEST_F(PublishBoardTest, WhatNobodyAsksForGoes) {
  std::optional<PublishBoard::Writer> writer(Begin("a"));
  clock_.Advance(1h);
  EXPECT_TRUE(StateOf<Resolving>("a")) << "an Acquire of it is under way";
  writer.reset();
  clock_.Advance(5min);
  EXPECT_TRUE(StateOf<Resolving>("a"));
  clock_.Advance(1ms);
  EXPECT_TRUE(Leases().empty());
}

TEST_F(PublishBoardTest, HoldsOnlySoManyAndTheFirstEndedGoFirst) {
  PublishBoard::Writer a = Begin("a"), b = Begin("b"), c = Begin("c");
  clock_.Advance(1s);
  b.Write(Ready{});
  clock_.Advance(1s);
  a.Write(No(Code::kPermissionDenied));
  PublishBoard::Writer d = Begin("d");
  EXPECT_EQ(Leases(), (std::vector<std::string>{"a", "c", "d"}));
  PublishBoard::Writer e = Begin("e");
  EXPECT_EQ(Leases(), (std::vector<std::string>{"c", "d", "e"}));
  PublishBoard::Writer f = Begin("f");
  EXPECT_EQ(Leases(), (std::vector<std::string>{"d", "e", "f"})) << "all wait";
  c.Write(Ready{});
  EXPECT_EQ(Leases().size(), 3u) << "what went comes back with its next Acquire only";
}

TEST_F(PublishBoardTest, AWriterWithoutABoardWritesNothing) {
  PublishBoard::Writer none;
  none.Write(Done(40));
  none.Write(Ready{});
  none.Write(No(Code::kNotFound));
  EXPECT_TRUE(Leases().empty());
}

TEST_F(PublishBoardTest, TakesManyAtOnce) {
  PublishBoard board(clock_, 64);
  std::atomic<bool> over = false;
  std::jthread reader([&] {
    while (!over) EXPECT_LE(board.View().size(), 64u);
  });
  std::vector<std::jthread> publishers;
  for (int thread = 0; thread < 4; ++thread) {
    publishers.emplace_back([&board, this, thread] {
      for (int i = 0; i < 2000; ++i) {
        // Some leases are of two threads.
        std::string lease = std::to_string(thread / 2) + "-" + std::to_string(i % 100);
        PublishBoard::Writer writer = board.Begin(Publish(lease));
        writer.Write(Done(static_cast<Bytes>(i)));
        if (i % 3 == 0) writer.Write(Ready{});
        if (i % 3 == 1) writer.Write(No(Code::kPermissionDenied));
        if (i % 7 == 0) board.Release(lease);
      }
    });
  }
  publishers.clear();
  over = true;
  reader.join();
  EXPECT_FALSE(board.View().empty());
  clock_.Advance(5min + 1ms);
  EXPECT_TRUE(board.View().empty()) << "no writer was left behind";
}

}  // namespace
}  // namespace weighhouse
