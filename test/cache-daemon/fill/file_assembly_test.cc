#include "cache-daemon/fill/file_assembly.h"

#include <cerrno>
#include <latch>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/fill/assembled_file.h"
#include "test/cache-daemon/fill/fill_fixture.h"

namespace weighhouse::fill {
namespace {

using testing::HasSubstr;

class FileAssemblyTest : public FillTest {
 protected:
  std::unique_ptr<AssembledFile> Begin(const std::string& content) {
    return std::make_unique<AssembledFile>(context(), store_, content, FileOf(content));
  }
  /// The staged file as an earlier ingest left it: right where it is recorded, garbage elsewhere.
  void Leave(const std::string& content, const std::vector<ByteRange>& recorded) {
    std::string left(content.size(), '#');
    for (const ByteRange& range : recorded) {
      left.replace(range.begin, range.size(), content, range.begin, range.size());
    }
    store_.Leave(left, recorded);
  }
};

TEST_P(FileAssemblyTest, PutsPiecesTogetherInAnyOrder) {
  MakeContext(8);
  std::string content = PatternBytes(5 * kPiece + 77, 1);
  auto file = Begin(content);
  for (Bytes piece : {4, 2, 5, 3, 0, 1}) {
    ByteRange range{.begin = piece * kPiece,
                    .end = std::min<Bytes>(content.size(), (piece + 1) * kPiece)};
    ASSERT_TRUE(file->Accept(range));
  }
  file->ExpectComplete(transport_, store_);
  EXPECT_EQ(engine_->reads(), 0) << "nothing is read back while there is room";
  EXPECT_EQ(store_.discards(), 0);
}

TEST_P(FileAssemblyTest, TakesNoMoreThanACrashMayCostUntilItIsRecorded) {
  MakeContext(8, 1, 2, 2 * kPiece);
  int freed = 0;
  context()->on_buffers_freed = [&] { ++freed; };
  std::string content = PatternBytes(5 * kPiece, 4);
  auto file = Begin(content);
  ASSERT_TRUE(file->Accept({.begin = 0, .end = 2 * kPiece}));
  ByteRange third{.begin = 2 * kPiece, .end = 3 * kPiece};
  EXPECT_FALSE(file->Accept(third));
  ASSERT_TRUE(transport_.RunUntil([&] { return freed == 2; }));
  EXPECT_FALSE(file->Accept(third)) << "what is written isn't recorded yet";
  transport_.Advance(StagedFile::kMaxDelay);
  ASSERT_TRUE(transport_.RunUntil([&] { return freed == 3; })) << "it may come again";
  EXPECT_THAT(store_.recorded(), testing::ElementsAre(ByteRange{0, 2 * kPiece}));
  EXPECT_TRUE(file->Accept(third));
}

TEST_P(FileAssemblyTest, ResumesAtEveryPlace) {
  MakeContext(4);
  for (Bytes size : {Bytes{1}, kPiece - 1, kPiece, kPiece + 1, 4 * kPiece, 3 * kPiece + 4097}) {
    std::string content = PatternBytes(size, size);
    std::vector<Bytes> cuts = {0, size};
    for (Bytes border = kPiece; border <= size; border += kPiece) {
      for (Bytes cut : {border - 1, border, border + 1}) cuts.push_back(cut);
    }
    for (Bytes cut : cuts) {
      if (cut > size) continue;
      SCOPED_TRACE(testing::Message() << "of " << size << " there are " << cut);
      Leave(content, cut > 0 ? std::vector<ByteRange>{{0, cut}} : std::vector<ByteRange>{});
      auto file = Begin(content);
      Bytes whole = cut == size ? size : cut / kPiece * kPiece;
      EXPECT_EQ((*file)->resumed_bytes(), whole);
      std::optional<ByteRange> missing = (*file)->NextMissing(0);
      EXPECT_EQ(missing, whole == size ? std::nullopt : std::optional(ByteRange{whole, size}));
      file->GiveAllFrom(transport_, 0, size);
      file->ExpectComplete(transport_, store_);
    }
  }
}

TEST_P(FileAssemblyTest, ResumesWhatLiesAnywhere) {
  MakeContext(4);
  std::string content = PatternBytes(7 * kPiece + 10, 2);
  Leave(content,
        {{kPiece, 2 * kPiece}, {3 * kPiece - 5, 5 * kPiece + 5}, {7 * kPiece, 7 * kPiece + 10}});
  auto file = Begin(content);
  EXPECT_EQ((*file)->resumed_bytes(), 3 * kPiece + 10);
  EXPECT_EQ((*file)->NextMissing(0), (ByteRange{0, kPiece}));
  EXPECT_EQ((*file)->NextMissing(5), (ByteRange{5, kPiece}));
  EXPECT_EQ((*file)->NextMissing(kPiece), (ByteRange{2 * kPiece, 3 * kPiece}));
  EXPECT_EQ((*file)->NextMissing(3 * kPiece), (ByteRange{5 * kPiece, 7 * kPiece}));
  EXPECT_EQ((*file)->NextMissing(7 * kPiece), std::nullopt);
  EXPECT_EQ((*file)->HeadPosition(), 0U);
  file->GiveAllFrom(transport_, 0, content.size());
  file->ExpectComplete(transport_, store_);
  EXPECT_EQ(engine_->reads(), 4);
}

TEST_P(FileAssemblyTest, ReleasesWhatAStalledHeadKeepsFromTheHasher) {
  MakeContext(3);  // the head's two, and one for all others
  std::string content = PatternBytes(20 * kPiece + 333, 3);
  auto file = Begin(content);
  int freed = 0;
  context_->on_buffers_freed = [&] { ++freed; };
  file->GiveAllFrom(transport_, kPiece, content.size());
  EXPECT_GT(freed, 0) << "ranges that found no buffer hear of those given back";
  EXPECT_FALSE(file->complete());
  EXPECT_EQ(engine_->reads(), 0) << "nothing before the head is there to be hashed";
  file->GiveAllFrom(transport_, 0, kPiece);
  file->ExpectComplete(transport_, store_);
  EXPECT_GT(engine_->reads(), 15);
  EXPECT_EQ(buffers_->available(), 3U);
  EXPECT_EQ(read_buffers_->available(), 2U);
}

TEST_P(FileAssemblyTest, ReleasesNothingWhileOnlyTheHasherIsSlow) {
  MakeContext(3);
  HashStream other(*hashes_, {.identity = {}, .size = 1, .checksum = {}});
  std::latch go(1);
  std::atomic<bool> gone = false;
  std::string byte = "x";
  other.Add(std::as_bytes(std::span(byte)), [&] {
    go.wait();
    gone = true;
  });
  std::string content = PatternBytes(6 * kPiece, 4);
  auto file = Begin(content);
  for (Bytes piece = 0; piece < 3; ++piece) {
    EXPECT_TRUE(file->Accept({.begin = piece * kPiece, .end = (piece + 1) * kPiece}));
  }
  context_->disk_operations.WaitUntilIdle();
  transport_.RunTasks();
  EXPECT_FALSE(file->Accept({.begin = 3 * kPiece, .end = 4 * kPiece}));
  go.count_down();
  file->GiveAllFrom(transport_, 3 * kPiece, content.size());
  file->ExpectComplete(transport_, store_);
  EXPECT_EQ(engine_->reads(), 0);
  EXPECT_TRUE(gone);
}

TEST_P(FileAssemblyTest, ReleasesNothingBeforeTheHeadHasStalledForAWhile) {
  release_after_ = std::chrono::minutes(1);
  MakeContext(3);
  std::string content = PatternBytes(5 * kPiece, 6);
  auto file = Begin(content);
  int freed = 0;
  context_->on_buffers_freed = [&] { ++freed; };
  EXPECT_TRUE(file->Accept({.begin = kPiece, .end = 2 * kPiece}));
  context_->disk_operations.WaitUntilIdle();
  transport_.RunTasks();
  EXPECT_FALSE(file->Accept({.begin = 2 * kPiece, .end = 3 * kPiece}));
  (*file)->Tick();
  EXPECT_EQ(freed, 0);
  clock_.PassTime(std::chrono::minutes(1));
  (*file)->Tick();
  EXPECT_EQ(freed, 1) << "the range that found no buffer hears of it";
  EXPECT_TRUE(file->Accept({.begin = 2 * kPiece, .end = 3 * kPiece}));
  file->GiveAllFrom(transport_, 0, kPiece);
  file->GiveAllFrom(transport_, 3 * kPiece, content.size());
  file->ExpectComplete(transport_, store_);
}

TEST_P(FileAssemblyTest, ReleasesPiecesForAnotherFile) {
  MakeContext(6, 2);  // two files' heads, and two for all others
  context_->active_files = 1;
  FakeStore other_store((directory_ / "other").string());
  std::string content = PatternBytes(4 * kPiece, 5);
  auto greedy = Begin(content);
  for (Bytes piece : {2, 3}) {
    EXPECT_TRUE(greedy->Accept({.begin = piece * kPiece, .end = (piece + 1) * kPiece}));
  }
  context_->active_files = 2;
  AssembledFile late(context(), other_store, content, FileOf(content));
  ByteRange ahead{.begin = kPiece, .end = 2 * kPiece};
  ASSERT_TRUE(transport_.RunUntil([&] { return late.Accept(ahead); }));
  late.GiveAllFrom(transport_, 0, kPiece);
  late.GiveAllFrom(transport_, 2 * kPiece, content.size());
  late.ExpectComplete(transport_, other_store);
  greedy->GiveAllFrom(transport_, 0, 2 * kPiece);
  greedy->ExpectComplete(transport_, store_);
  EXPECT_GT(engine_->reads(), 0);
}

TEST_P(FileAssemblyTest, FilesTakeTurnsForOneReadersBuffer) {
  MakeContext(6, 2, 1);
  FakeStore other_store((directory_ / "other").string());
  std::string content = PatternBytes(9 * kPiece + 1, 6);
  Leave(content, {{0, content.size()}});
  other_store.Leave(content, {{0, content.size()}});
  auto first = Begin(content);
  AssembledFile second(context(), other_store, content, FileOf(content));
  second.ExpectComplete(transport_, other_store);
  first->ExpectComplete(transport_, store_);
}

TEST_P(FileAssemblyTest, AnAbandonedFileLetsOthersHaveItsReadersBuffers) {
  MakeContext(6, 2, 1);
  FakeStore other_store((directory_ / "other").string());
  std::string content = PatternBytes(9 * kPiece + 1, 6);
  Leave(content, {{0, content.size()}});
  other_store.Leave(content, {{0, content.size()}});
  auto first = Begin(content);
  AssembledFile second(context(), other_store, content, FileOf(content));
  first.reset();
  second.ExpectComplete(transport_, other_store);
}

TEST_P(FileAssemblyTest, AnErrorOfReadingBackIsOneErrorAndNothingIsResumedAgain) {
  MakeContext(4);
  std::string content = PatternBytes(5 * kPiece, 7);
  Leave(content, {{0, 4 * kPiece}});
  engine_->FailReads(EIO);
  auto file = Begin(content);
  ASSERT_TRUE(transport_.RunUntil([&] { return !file->errors().empty(); }));
  file->GiveAllFrom(transport_, 0, content.size());
  context_->disk_operations.WaitUntilIdle();
  transport_.RunTasks();
  ASSERT_EQ(file->errors().size(), 1U);
  EXPECT_THAT(file->errors()[0].message, HasSubstr("read back " + store_.path()));
  EXPECT_FALSE(file->complete());
  file.reset();
  transport_.RunTasks();
  EXPECT_EQ(store_.discards(), 1);
  EXPECT_THAT(store_.recorded(), testing::IsEmpty());
}

TEST_P(FileAssemblyTest, AWrongByteOnTheDiskIsAWrongDigest) {
  MakeContext(4);
  std::string content = PatternBytes(5 * kPiece, 8);
  std::string wrong = content;
  wrong[kPiece + 5] ^= 1;
  store_.Leave(wrong, {{0, 4 * kPiece}});
  auto file = Begin(content);
  file->GiveAllFrom(transport_, 0, content.size());
  ASSERT_TRUE(transport_.RunUntil([&] { return file->complete(); }));
  EXPECT_EQ((*file)->Digests().sha256, Digest::Of(wrong).Hex());
}

TEST_P(FileAssemblyTest, APartialPieceIsForgottenAndGivenAgain) {
  MakeContext(3);
  std::string content = PatternBytes(2 * kPiece, 9);
  auto file = Begin(content);
  EXPECT_TRUE(file->Accept({.begin = 0, .end = kPiece + 100}));
  EXPECT_EQ((*file)->HeadPosition(), kPiece);
  EXPECT_EQ((*file)->ForgetPartialPiece(kPiece + 100), kPiece);
  file->GiveAllFrom(transport_, kPiece, content.size());
  file->ExpectComplete(transport_, store_);
}

TEST_P(FileAssemblyTest, RecordsWhatIsWrittenWhenItIsLetGo) {
  MakeContext(8);
  std::string content = PatternBytes(5 * kPiece, 10);
  auto file = Begin(content);
  for (Bytes piece : {0, 1, 3}) {
    EXPECT_TRUE(file->Accept({.begin = piece * kPiece, .end = (piece + 1) * kPiece}));
  }
  EXPECT_TRUE(file->Accept({.begin = 4 * kPiece, .end = 4 * kPiece + 9}));
  file.reset();
  ASSERT_TRUE(transport_.RunUntil([&] { return !store_.recordings().empty(); }));
  EXPECT_THAT(store_.recorded(),
              testing::ElementsAre(ByteRange{0, 2 * kPiece}, ByteRange{3 * kPiece, 4 * kPiece}));
}

TEST_P(FileAssemblyTest, ACompleteFileWaitsForTheRecordingUnderWay) {
  MakeContext(8);
  std::latch go(1);
  std::atomic<bool> recording = false;
  store_.OnRecord([&]() -> Result<> {
    recording = true;
    go.wait();
    return {};
  });
  std::string content = PatternBytes(2 * kPiece, 11);
  auto file = Begin(content);
  file->GiveAllFrom(transport_, 0, kPiece);
  ASSERT_TRUE(transport_.RunUntil([&] { return buffers_->available() == 8; }));
  transport_.Advance(StagedFile::kMaxDelay);
  transport_.RunTasks();
  file->GiveAllFrom(transport_, kPiece, content.size());
  ASSERT_TRUE(transport_.RunUntil([&] { return buffers_->available() == 8; }));
  EXPECT_FALSE(file->complete());
  go.count_down();
  file->ExpectComplete(transport_, store_);
  EXPECT_TRUE(recording);
  EXPECT_EQ(store_.recordings().size(), 1U) << "what is being committed needs no recording";
}

INSTANTIATE_WITH_BOTH_ENGINES(FileAssemblyTest);

}  // namespace
}  // namespace weighhouse::fill
