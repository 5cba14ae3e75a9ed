#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/fill/file_preparation.h"
#include "test/cache-daemon/fill/file_fill_fixture.h"

namespace weighhouse::fill {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

using Asked = std::vector<std::optional<ByteRange>>;

class FileFillTest : public FileFillFixture {};

TEST_P(FileFillTest, FetchesAllWhereNothingIsThere) {
  std::string content = PatternBytes(9 * kPiece + 50, 1);
  Begin(content);
  ExpectCommitted(content);
  EXPECT_EQ(context_->bytes_fetched, content.size());
  EXPECT_EQ(fill_->resumed(), 0U);
}

TEST_P(FileFillTest, FetchesOnlyWhatLacks) {
  std::string content = PatternBytes(9 * kPiece + 50, 2);
  std::string left = content;
  left.replace(4 * kPiece, kPiece + 700, kPiece + 700, '#');
  left.replace(9 * kPiece, 50, 50, '#');
  store_.Leave(left, {{0, 4 * kPiece}, {5 * kPiece + 700, 9 * kPiece + 20}});
  Begin(content);
  ASSERT_TRUE(transport_.RunUntil([&] { return fill_->resumed() > 0; }));
  EXPECT_EQ(fill_->resumed(), 7 * kPiece);
  EXPECT_EQ(fill_->received(), 7 * kPiece) << "progress begins with what is present";
  ExpectCommitted(content);
  EXPECT_EQ(transport_.asked(),
            (Asked{ByteRange{4 * kPiece, 5 * kPiece}, ByteRange{5 * kPiece, 6 * kPiece},
                   ByteRange{9 * kPiece, 9 * kPiece + 50}}))
      << "nothing but what lacks, in ranges that all fit into so small a pool";
  EXPECT_EQ(context_->bytes_fetched, 2 * kPiece + 50);
}

TEST_P(FileFillTest, AsksForNothingWhereAllIsThere) {
  std::string content = PatternBytes(5 * kPiece, 3);
  store_.Leave(content, {{0, 5 * kPiece}});
  Begin(content);
  ExpectCommitted(content);
  EXPECT_THAT(transport_.asked(), IsEmpty());
}

TEST_P(FileFillTest, WrongResumedBytesAreDiscardedAndFetchedAgain) {
  std::string content = PatternBytes(6 * kPiece, 4);
  std::string wrong = content;
  wrong[kPiece] ^= 1;
  store_.Leave(wrong, {{0, 5 * kPiece}});
  Begin(content);
  ExpectCommitted(content);
  EXPECT_EQ(store_.discards(), 1);
  EXPECT_EQ(context_->bytes_fetched, 7 * kPiece);
}

TEST_P(FileFillTest, WrongBytesOfTheServerAreNotExcusedForever) {
  std::string content = PatternBytes(6 * kPiece, 5);
  store_.Leave(content, {{0, kPiece}});
  Begin(content);
  std::string wrong = content;
  wrong.back() ^= 1;
  transport_.set_content(wrong);
  ASSERT_TRUE(RunToTheEnd());
  ASSERT_FALSE(*outcome_);
  EXPECT_EQ(outcome_->error().code, Code::kDataLoss);
  EXPECT_EQ(store_.discards(), 3) << "resumed, then the try and the fresh start of every fill";
  EXPECT_THAT(store_.recorded(), IsEmpty());
}

TEST_P(FileFillTest, AServerWithoutRangesBringsAllAgain) {
  std::string content = PatternBytes(6 * kPiece + 1, 6);
  store_.Leave(content, {{0, 4 * kPiece}});
  transport_.IgnoreRanges();
  Begin(content);
  ExpectCommitted(content);
  EXPECT_EQ(store_.discards(), 1);
  EXPECT_EQ(transport_.asked().back(), std::nullopt);
  EXPECT_EQ(context_->bytes_fetched, content.size());
}

TEST_P(FileFillTest, AStalledHeadHoldsUpNothingButItself) {
  MakeContext(3);
  std::string content = PatternBytes(8 * kPiece, 7);
  transport_.StallAt(0);
  Begin(content);
  ASSERT_TRUE(transport_.RunUntil([&] { return fill_->received() == 2 * kPiece; }))
      << "the rest of the window";
  transport_.Unstall();
  ExpectCommitted(content);
  EXPECT_GT(engine_->reads(), 0);
}

TEST_P(FileFillTest, AFailedRangeLeavesWhatCameToTheNextFill) {
  std::string content = PatternBytes(8 * kPiece, 8);
  transport_.StallAt(2 * kPiece);
  Begin(content);
  ASSERT_TRUE(transport_.RunUntil([&] { return fill_->received() >= 6 * kPiece; }));
  fill_->Stop();
  ASSERT_TRUE(transport_.RunUntil([&] { return !store_.recorded().empty(); }));
  transport_.Unstall();
  Bytes before = context_->bytes_fetched;
  Begin(content);
  ExpectCommitted(content);
  EXPECT_EQ(context_->bytes_fetched - before, 2 * kPiece);
}

TEST_P(FileFillTest, AJumpOfTheWallClockNeitherExpiresNorStallsAnything) {
  std::string content = PatternBytes(20 * kPiece, 10);
  Begin(content);
  for (Bytes part : {4 * kPiece, 8 * kPiece, 12 * kPiece}) {
    ASSERT_TRUE(transport_.RunUntil([&] { return fill_->received() >= part; }));
    clock_.JumpWall(part == 8 * kPiece ? std::chrono::hours(-30) : std::chrono::hours(20));
  }
  ExpectCommitted(content);
  EXPECT_EQ(source_->locates(), 1);
  EXPECT_EQ(context_->bytes_fetched, content.size());
}

TEST_P(FileFillTest, LocatesTheFileAgainOnceForAllItsRangesWhenTheUrlExpires) {
  std::string content = PatternBytes(20 * kPiece, 11);
  Begin(content);
  ASSERT_TRUE(transport_.RunUntil([&] { return fill_->received() >= 4 * kPiece; }));
  clock_.PassTime(std::chrono::minutes(61));
  ExpectCommitted(content);
  EXPECT_EQ(source_->locates(), 2);
  EXPECT_EQ(context_->bytes_fetched, content.size()) << "what is under way goes on";
}

TEST_P(FileFillTest, AFileThatMovedIsLocatedAgain) {
  std::string content = PatternBytes(6 * kPiece, 12);
  transport_.EndNext({.status = Fail(Code::kUnavailable, "a redirect"), .http_status = 302});
  Begin(content);
  ExpectCommitted(content);
  EXPECT_EQ(source_->locates(), 2);
}

TEST_P(FileFillTest, AConnectionThatOurOwnRulesForbidIsNotTriedAgain) {
  Error refusal{Code::kPermissionDenied, "an admin's rule"};
  transport_.EndNext({.status = std::unexpected(refusal), .http_status = 0});
  Begin(PatternBytes(6 * kPiece, 13));
  ASSERT_TRUE(RunToTheEnd());
  ASSERT_FALSE(*outcome_);
  EXPECT_EQ(outcome_->error().code, Code::kPermissionDenied) << outcome_->error().message;
  EXPECT_EQ(source_->locates(), 1);
}

TEST_P(FileFillTest, ARefusalOfTheServerOfTheBytesIsItsTrouble) {
  Error refusal{Code::kPermissionDenied, "expired"};
  for (int i = 0; i < 20; ++i) {
    transport_.EndNext({.status = std::unexpected(refusal), .http_status = 403});
  }
  Begin(PatternBytes(6 * kPiece, 14));
  ASSERT_TRUE(RunToTheEnd());
  ASSERT_FALSE(*outcome_);
  EXPECT_EQ(outcome_->error().code, Code::kUnavailable) << outcome_->error().message;
  EXPECT_EQ(source_->locates(), 3);
}

INSTANTIATE_WITH_BOTH_ENGINES(FileFillTest);

TEST(TrustOnFirstUseTest, IsSaidWhereNothingButACrcIsKnown) {
  ListedFile file{
      .path = "a", .size = 1, .identity = {FileIdentity::Kind::kVersionToken, "e of a"}};
  source::FileLocation location;
  EXPECT_THAT(TrustOnFirstUse(file, location), testing::HasSubstr("gives no digest of it:"));
  location.checksum = ContentChecksum{.kind = ContentChecksum::Kind::kCrc32c, .value = "e3069283"};
  EXPECT_THAT(TrustOnFirstUse(file, location),
              testing::HasSubstr("no digest of it, only a crc32c"));
  location.checksum->kind = ContentChecksum::Kind::kSha256;
  EXPECT_EQ(TrustOnFirstUse(file, location), "");
  location.checksum.reset();
  location.enclosure = std::make_shared<source::Enclosure>();
  EXPECT_EQ(TrustOnFirstUse(file, location), "");
  location.enclosure.reset();
  file.identity = {FileIdentity::Kind::kSha256, std::string(64, 'a')};
  EXPECT_EQ(TrustOnFirstUse(file, location), "");
}

class FillerStopTest : public FillTest {};

TEST_P(FillerStopTest, RecordsWhatIsWrittenAndNothingMoreIsLost) {
  MakeContext(16);  // only its pools are used
  std::string content = PatternBytes(12 * kPiece, 9);
  transport_.set_content(content);
  transport_.StallAt(0);
  std::atomic<bool> stop = false;
  std::jthread loop([&] { transport_.RunUntil([&] { return stop.load(); }); });
  {
    FillerOptions options{.max_active_files = 1, .range_size = 2 * kPiece};
    std::unique_ptr<Filler> filler = Filler::Create(options, Parts());
    Listing listing{.origin = "fake", .revision = "1", .files = {FileOf(content)}};
    FillRequest request{.snapshot_id = "snapshot", .listing = listing};
    request.source = std::make_shared<FakeSource>(clock_);
    filler->Fill(std::move(request), {});
    // All that can come: stopped in the middle, a range that has half of its pieces would be a gap.
    while (filler->CurrentActivity().bytes_fetched < 10 * kPiece) std::this_thread::yield();
  }
  transport_.Post([&] { stop = true; });
  ASSERT_THAT(store_.recorded(), SizeIs(1));
  EXPECT_EQ(store_.recorded()[0].begin, 2 * kPiece) << "all but the stalled range";
  EXPECT_EQ(store_.recorded()[0].end, 12 * kPiece);
}

INSTANTIATE_WITH_BOTH_ENGINES(FillerStopTest);

}  // namespace
}  // namespace weighhouse::fill
