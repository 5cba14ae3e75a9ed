#include "cache-daemon/fill/range_transfer.h"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test/cache-daemon/fill/simulated_network.h"

namespace weighhouse::fill {
namespace {

using namespace std::chrono_literals;

/// Records what it is asked for; the test plays the network.
class FakeTransport final : public source::Transport {
 public:
  struct Transfer {
    ByteRange range;
    source::TransferSink* sink;
  };
  void Post(std::function<void()> task) override { task(); }
  void Reconfigure(const source::TransportOptions&) override {}
  void PostAfter(std::chrono::milliseconds, std::function<void()>) override {}
  source::TransferId Start(const source::FileLocation&, std::optional<ByteRange> range,
                           source::TransferSink& sink) override {
    transfers[++last] = {.range = range.value_or(ByteRange{}), .sink = &sink};
    return last;
  }
  void Resume(source::TransferId id) override { resumed.push_back(id); }
  void Cancel(source::TransferId id) override {
    transfers.erase(id);
    cancelled.push_back(id);
  }

  bool Bring(source::TransferId id, size_t count) {
    std::vector<std::byte> bytes(count);
    return transfers.at(id).sink->OnBytes(bytes);
  }
  void End(source::TransferId id, source::TransferEnd end) {
    source::TransferSink* sink = transfers.at(id).sink;
    transfers.erase(id);
    sink->OnEnd(end);
  }

  source::TransferId last = 0;
  std::map<source::TransferId, Transfer> transfers;
  std::vector<source::TransferId> cancelled, resumed;
};

class RangeTransferTest : public ::testing::Test, public RangeOwner, public ConnectionUser {
 protected:
  RangeTransferTest() : governor_({}, clock_, [] {}) {
    governor_.SetClaim(*this, {.host = "https://cdn", .fill = "fill", .priority = {}});
  }
  bool AcceptBytes(RangeTransfer& range, std::span<const std::byte> bytes) override {
    if (full_) return false;
    taken_.push_back({.begin = range.position(), .end = range.position() + bytes.size()});
    range.Advance(bytes.size());
    return true;
  }
  void RangeEnded(RangeTransfer&, const source::TransferEnd& end) override {
    ends_.push_back(end.status.has_value());
  }
  void HedgeSettled(Hedge outcome) override { hedges_.push_back(outcome); }
  void OnConnectionFree() override {}
  void OnYield() override {}

  void StartBoth() {
    range_.Start({}, 1, RangeTransfer::Extent::kRange, governor_.TryTake(*this));
    ASSERT_TRUE(transport_.Bring(1, 100));
    range_.StartHedge({}, governor_.TryTakeHedge(*this));
    ASSERT_EQ(transport_.transfers.at(2).range, (ByteRange{.begin = 1100, .end = 2000}));
  }
  static source::TransferEnd Lost() {
    return {.status = Fail(Code::kUnavailable, "the connection was cut")};
  }

  FakeTransport transport_;
  ManualClock clock_;
  ConnectionGovernor governor_;
  bool full_ = false;
  std::vector<ByteRange> taken_;
  std::vector<bool> ends_;
  std::vector<Hedge> hedges_;
  RangeTransfer range_{*this, transport_, {.begin = 1000, .end = 2000}};
};

TEST_F(RangeTransferTest, TakesEachByteOnceFromTheOneThatBringsItFirst) {
  StartBoth();
  ASSERT_TRUE(transport_.Bring(1, 200));  // up to 1300
  ASSERT_TRUE(transport_.Bring(2, 150));  // up to 1250: known
  EXPECT_TRUE(transport_.cancelled.empty());
  ASSERT_TRUE(transport_.Bring(2, 100));  // up to 1350: overtakes
  EXPECT_EQ(transport_.cancelled, std::vector<source::TransferId>{1});
  EXPECT_EQ(hedges_, std::vector<Hedge>{Hedge::kOvertook});
  ASSERT_TRUE(transport_.Bring(2, 650));
  EXPECT_EQ(taken_,
            (std::vector<ByteRange>{{1000, 1100}, {1100, 1300}, {1300, 1350}, {1350, 2000}}));
  EXPECT_TRUE(range_.Complete());
  EXPECT_EQ(governor_.InUse(*this), 1U);
  transport_.End(2, {});
  EXPECT_EQ(ends_, std::vector<bool>{true});
  EXPECT_EQ(governor_.InUse(*this), 0U);
}

TEST_F(RangeTransferTest, DropsAHedgeThatTheFirstOutruns) {
  StartBoth();
  ASSERT_TRUE(transport_.Bring(1, 900));
  transport_.End(1, {});
  EXPECT_EQ(transport_.cancelled, std::vector<source::TransferId>{2});
  EXPECT_EQ(hedges_, std::vector<Hedge>{Hedge::kUseless});
  EXPECT_EQ(ends_, std::vector<bool>{true});
}

TEST_F(RangeTransferTest, GoesOnWithTheHedgeWhenTheFirstIsLost) {
  StartBoth();
  ASSERT_TRUE(transport_.Bring(1, 100));
  transport_.End(1, Lost());
  EXPECT_TRUE(ends_.empty());
  EXPECT_FALSE(range_.hedged());
  ASSERT_TRUE(transport_.Bring(2, 900));
  transport_.End(2, {});
  EXPECT_TRUE(range_.Complete());
  EXPECT_EQ(ends_, std::vector<bool>{true});
}

TEST_F(RangeTransferTest, GoesOnWithTheFirstWhenTheHedgeIsLost) {
  StartBoth();
  transport_.End(2, Lost());
  EXPECT_EQ(hedges_, std::vector<Hedge>{Hedge::kUseless});
  EXPECT_FALSE(range_.hedged());
  transport_.End(1, Lost());
  EXPECT_EQ(ends_, std::vector<bool>{false});
  EXPECT_EQ(range_.state(), RangeTransfer::State::kIdle);
}

TEST_F(RangeTransferTest, PausesOnlyTheOneThatFoundNoBuffer) {
  StartBoth();
  full_ = true;
  EXPECT_FALSE(transport_.Bring(1, 10));
  EXPECT_EQ(range_.state(), RangeTransfer::State::kActive);
  EXPECT_FALSE(transport_.Bring(2, 10));
  EXPECT_EQ(range_.state(), RangeTransfer::State::kPaused);
  full_ = false;
  range_.Resume();
  EXPECT_EQ(transport_.resumed, (std::vector<source::TransferId>{1, 2}));
  ASSERT_TRUE(transport_.Bring(1, 10));
  ASSERT_TRUE(transport_.Bring(2, 10)) << "the same bytes: skipped";
  EXPECT_EQ(range_.position(), 1110U);
  EXPECT_TRUE(hedges_.empty());
}

TEST_F(RangeTransferTest, LagsWhenItBringsLessThanAQuarterOfTheOthers) {
  auto slow = governor_.TryTake(*this);
  auto fast = governor_.TryTake(*this);
  auto other = governor_.TryTake(*this);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(i < 5 && slow->IsLagging()) << "too young";
    slow->AddBytes(20 * kKiB, 0);
    fast->AddBytes(100 * kKiB, 0);
    other->AddBytes(100 * kKiB, 0);
    clock_.Advance(100ms);
    governor_.Tick();
  }
  EXPECT_TRUE(slow->IsLagging());
  EXPECT_FALSE(fast->IsLagging());
  slow->SetPaused(true);
  EXPECT_FALSE(slow->IsLagging());
}

TEST_F(RangeTransferTest, ComparesTheOnlyOneWithThoseBeforeIt) {
  auto before = governor_.TryTake(*this);
  before->AddBytes(4 * kMiB, 0);
  clock_.Advance(1s);
  before.reset();
  auto alone = governor_.TryTake(*this);
  for (int i = 0; i < 10; ++i) {
    alone->AddBytes(50 * kKiB, 0);
    clock_.Advance(100ms);
    governor_.Tick();
  }
  EXPECT_TRUE(alone->IsLagging());
}

TEST_F(RangeTransferTest, HedgesWithOneConnectionMoreThanAllowedAtMost) {
  std::vector<std::unique_ptr<Connection>> all;
  while (auto connection = governor_.TryTake(*this)) all.push_back(std::move(connection));
  EXPECT_EQ(all.size(), HostPace::kStart);
  auto hedge = governor_.TryTakeHedge(*this);
  EXPECT_NE(hedge, nullptr);
  EXPECT_EQ(governor_.TryTakeHedge(*this), nullptr);
}

TEST_F(RangeTransferTest, DoesNotHedgeAtAHostThatRefused) {
  std::vector<std::unique_ptr<Connection>> all;
  while (auto connection = governor_.TryTake(*this)) all.push_back(std::move(connection));
  all.back()->OnRefused(std::nullopt);
  all.pop_back();
  EXPECT_EQ(governor_.TryTakeHedge(*this), nullptr);
}

}  // namespace
}  // namespace weighhouse::fill
