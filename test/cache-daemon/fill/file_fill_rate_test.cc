// A source that brings little: when a file is given up for it, and when not.

#include <semaphore>

#include <gmock/gmock.h>

#include "test/cache-daemon/fill/file_fill_fixture.h"

namespace weighhouse::fill {
namespace {

using testing::HasSubstr;

class FileFillRateTest : public FileFillFixture {
 protected:
  /// Looks at it so often that minutes count; before each look come so many pieces.
  static constexpr int kLooks = 20;
  void PassMinutes(int pieces) {
    for (int i = 0; i < kLooks && !outcome_; ++i) {
      clock_.PassTime(std::chrono::minutes(1));  // of which LeastRate::kLongestStep counts
      Bytes before = context_->bytes_fetched;
      transport_.Allow(pieces);
      if (pieces > 0) {
        ASSERT_TRUE(transport_.RunUntil([&] { return context_->bytes_fetched > before; }));
      }
      fill_->Tick();
      transport_.RunTasks();
    }
  }
};

TEST_P(FileFillRateTest, ATrickleEndsTheFillAndWhatCameIsKept) {
  // Also where less is left than must come.
  Begin(PatternBytes(100 * kPiece, 1));
  transport_.Allow(15);
  ASSERT_TRUE(transport_.RunUntil([&] { return fill_->received() >= 40'000; }));
  PassMinutes(1);
  ASSERT_TRUE(outcome_);
  ASSERT_FALSE(*outcome_);
  EXPECT_EQ(outcome_->error().code, Code::kUnavailable);
  EXPECT_THAT(outcome_->error().message, HasSubstr("less than 1.0 MiB"));
  EXPECT_TRUE(transport_.RunUntil([&] { return !store_.recorded().empty(); }));
}

TEST_P(FileFillRateTest, NothingAtAllIsLeftToTheStallTimeout) {
  std::string content = PatternBytes(20 * kPiece, 3);
  Begin(content);
  transport_.Allow(5);
  ASSERT_TRUE(transport_.RunUntil([&] { return context_->bytes_fetched == 15'000; }));
  PassMinutes(0);
  EXPECT_FALSE(outcome_);
  transport_.Allow({});
  ExpectCommitted(content);
}

TEST_P(FileFillRateTest, OurOwnLimitIsNotTheSourcesSlowness) {
  std::string content = PatternBytes(20 * kPiece, 4);
  context_->bandwidth.SetRate(1);
  Begin(content);
  for (int i = 0; i < kLooks; ++i) {
    clock_.PassTime(std::chrono::minutes(51));  // which is enough for a piece
    context_->bandwidth.Offer();
    Bytes before = context_->bytes_fetched;
    ASSERT_TRUE(transport_.RunUntil(
        [&] { return context_->bytes_fetched > before && context_->bandwidth.Waits(*fill_); }));
    fill_->Tick();
    transport_.RunTasks();
    ASSERT_FALSE(outcome_) << outcome_->error().message;
  }
  context_->bandwidth.SetRate(0);
  context_->bandwidth.Offer();
  ExpectCommitted(content);
}

TEST_P(FileFillRateTest, ADiskThatTakesNothingIsNotTheSourcesSlowness) {
  MakeContext(8, 1, 2, 2 * kPiece);
  std::counting_semaphore<> recordings(0);
  store_.OnRecord([&]() -> Result<> {
    recordings.acquire();
    return {};
  });
  std::string content = PatternBytes(200 * kPiece, 5);
  Begin(content);
  for (int i = 0; i < 10; ++i) {
    clock_.PassTime(std::chrono::minutes(1));
    Bytes before = context_->bytes_fetched;
    ASSERT_TRUE(transport_.RunUntil(
        [&] { return context_->bytes_fetched > before && transport_.IsIdle(); }));
    fill_->Tick();
    transport_.RunTasks();
    ASSERT_FALSE(outcome_) << outcome_->error().message;
    recordings.release(4);  // each of what was written by then
  }
  recordings.release(1000);
  ExpectCommitted(content);
}

TEST_P(FileFillRateTest, AServerThatHasUsWaitIsWaitedFor) {
  std::string content = PatternBytes(20 * kPiece, 6);
  Begin(content);
  Error busy{.code = Code::kUnavailable,
             .message = "too many requests",
             .retry_after = std::chrono::minutes(9)};
  for (int i = 0; i < 10; ++i) {
    clock_.PassTime(std::chrono::minutes(1));
    if (i % 3 == 0) {
      Bytes before = context_->bytes_fetched;
      transport_.Allow(1);
      ASSERT_TRUE(transport_.RunUntil([&] { return context_->bytes_fetched > before; }));
      transport_.EndAll({.status = std::unexpected(busy), .http_status = 429});
    }
    fill_->Tick();
    transport_.RunTasks();
    ASSERT_FALSE(outcome_) << outcome_->error().message;
  }
  transport_.Allow({});
  ExpectCommitted(content);
}

TEST_P(FileFillRateTest, ARefusalAfterEachByteIsNoReasonToAskForEver) {
  Error refusal{Code::kPermissionDenied, "expired"};
  transport_.EndEachAfterAPiece(
      source::TransferEnd{.status = std::unexpected(refusal), .http_status = 403});
  Begin(PatternBytes(20 * kPiece, 7));
  ASSERT_TRUE(RunToTheEnd());
  ASSERT_FALSE(*outcome_);
  EXPECT_EQ(outcome_->error().code, Code::kUnavailable) << outcome_->error().message;
  EXPECT_EQ(source_->locates(), 3);
}

INSTANTIATE_WITH_BOTH_ENGINES(FileFillRateTest);

}  // namespace
}  // namespace weighhouse::fill
