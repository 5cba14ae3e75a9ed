#include "cache-daemon/fill/staged_file.h"

#include <latch>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/fill/fill_fixture.h"

namespace weighhouse::fill {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

class StagedFileTest : public FillTest {
 protected:
  std::shared_ptr<StagedFile> Begin(const std::vector<ByteRange>& present = {}) {
    MakeContext(3);
    return std::make_shared<StagedFile>(
        context(), std::move(store_.StartIngest("", {}, 1000 * kMiB).value()), present);
  }
  void WaitForRecordings(size_t count) {
    ASSERT_TRUE(transport_.RunUntil([&] { return store_.recordings().size() >= count; }));
  }
};

TEST_P(StagedFileTest, RecordsWhenEnoughIsWrittenAndNamesAllOfIt) {
  auto file = Begin({{0, 2 * kMiB}});
  file->Add({.begin = 10 * kMiB, .end = 12 * kMiB});
  file->Add({.begin = 2 * kMiB, .end = 10 * kMiB});
  transport_.RunTasks();
  EXPECT_THAT(store_.recordings(), SizeIs(0));
  file->Add({.begin = 100 * kMiB, .end = 154 * kMiB});
  WaitForRecordings(1);
  EXPECT_THAT(store_.recorded(),
              ElementsAre(ByteRange{0, 12 * kMiB}, ByteRange{100 * kMiB, 154 * kMiB}));
}

TEST_P(StagedFileTest, RecordsLittleAfterAWhile) {
  auto file = Begin();
  file->Add({.begin = 0, .end = 1});
  transport_.Advance(StagedFile::kMaxDelay - std::chrono::milliseconds(1));
  transport_.RunTasks();
  EXPECT_FALSE(file->recording());
  transport_.Advance(std::chrono::milliseconds(1));
  WaitForRecordings(1);
  EXPECT_THAT(store_.recorded(), ElementsAre(ByteRange{0, 1}));
  ASSERT_TRUE(transport_.RunUntil([&] { return !file->recording(); }));
  transport_.Advance(2 * StagedFile::kMaxDelay);
  transport_.RunTasks();
  EXPECT_FALSE(file->recording()) << "nothing is new";
}

TEST_P(StagedFileTest, RecordsOneAtATime) {
  auto file = Begin();
  std::latch go(1);
  std::atomic<int> running = 0;
  store_.OnRecord([&]() -> Result<> {
    EXPECT_EQ(++running, 1);
    go.wait();
    --running;
    return {};
  });
  file->Add({.begin = 0, .end = 64 * kMiB});
  file->Add({.begin = 64 * kMiB, .end = 128 * kMiB});
  file->Add({.begin = 128 * kMiB, .end = 192 * kMiB});
  go.count_down();
  WaitForRecordings(2);
  EXPECT_THAT(store_.recordings(), ElementsAre(ElementsAre(ByteRange{0, 64 * kMiB}),
                                               ElementsAre(ByteRange{0, 192 * kMiB})));
}

TEST_P(StagedFileTest, AFailureIsNotTheEnd) {
  auto file = Begin();
  std::atomic<int> calls = 0;
  store_.OnRecord([&]() -> Result<> {
    if (++calls == 1) return Fail(Code::kResourceExhausted, "no space");
    return {};
  });
  file->Add({.begin = 0, .end = 64 * kMiB});
  ASSERT_TRUE(transport_.RunUntil([&] { return !file->recording(); }));
  EXPECT_THAT(store_.recordings(), SizeIs(0));
  file->Add({.begin = 64 * kMiB, .end = 128 * kMiB});
  WaitForRecordings(1);
  EXPECT_THAT(store_.recorded(), ElementsAre(ByteRange{0, 128 * kMiB}));
}

TEST_P(StagedFileTest, RecordsNothingOnceClosed) {
  auto file = Begin();
  file->Add({.begin = 0, .end = 1});
  file->Close();
  file->Add({.begin = 1, .end = 64 * kMiB});
  file->End();
  file->RecordLast();
  EXPECT_FALSE(file->recording());
  EXPECT_THAT(store_.recordings(), SizeIs(0));
}

TEST_P(StagedFileTest, DiscardsWhatIsWrongWhenTheLastRecordingIsOver) {
  auto file = Begin();
  file->Add({.begin = 0, .end = 64 * kMiB});
  file->Discard();
  file->Add({.begin = 64 * kMiB, .end = 128 * kMiB});
  file.reset();
  ASSERT_TRUE(transport_.RunUntil([&] { return store_.discards() == 1; }));
  EXPECT_THAT(store_.recorded(), SizeIs(0));
  EXPECT_THAT(store_.recordings(), SizeIs(1));
}

TEST_P(StagedFileTest, RecordsTheRestAtItsEndAlsoBehindARecordingUnderWay) {
  auto file = Begin();
  std::latch go(1);
  store_.OnRecord([&]() -> Result<> {
    go.wait();
    return {};
  });
  file->Add({.begin = 0, .end = 64 * kMiB});
  file->Add({.begin = 64 * kMiB, .end = 65 * kMiB});
  file->End();
  file.reset();
  go.count_down();
  WaitForRecordings(2);
  EXPECT_THAT(store_.recorded(), ElementsAre(ByteRange{0, 65 * kMiB}));
}

INSTANTIATE_WITH_BOTH_ENGINES(StagedFileTest);

}  // namespace
}  // namespace weighhouse::fill
