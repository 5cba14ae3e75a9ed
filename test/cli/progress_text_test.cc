#include "cli/progress_text.h"

#include <gtest/gtest.h>

#include "cli/table.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;

Progress Some() {
  return {.total = 32 * kGiB,
          .done = 12 * kGiB,
          .per_second = kGiB,
          .files_total = 12,
          .files_done = 3,
          .waiting_for = ""};
}

TEST(ProgressTextTest, AHundredPerCentMeansEverything) {
  EXPECT_EQ(Percent(0, 100), 0u);
  EXPECT_EQ(Percent(999, 1000), 99u);
  EXPECT_EQ(Percent(1000, 1000), 100u);
  EXPECT_EQ(Percent(2000, 1000), 100u);
  EXPECT_EQ(Percent(0, 0), 100u);
  EXPECT_EQ(Percent(UINT64_MAX - 1, UINT64_MAX), 100u) << "no overflow";
}

TEST(ProgressTextTest, TimeLeftNeedsARate) {
  EXPECT_EQ(TimeLeft(Some()), 20s);
  Progress unknown = Some();
  unknown.per_second = 0;
  EXPECT_EQ(TimeLeft(unknown), std::nullopt);
  unknown.per_second = 1;
  EXPECT_EQ(TimeLeft(unknown), std::nullopt) << "six centuries are not worth saying";
  Progress beyond = Some();
  beyond.done = 2 * beyond.total;
  EXPECT_EQ(TimeLeft(beyond), 0s);
}

TEST(ProgressTextTest, PartsShareTheUnitOfTheTotal) {
  EXPECT_EQ(FormatPart(512, 1000), "512/1000 B");
  EXPECT_EQ(FormatPart(100 * kMiB, 2 * kGiB), "0.1/2.0 GiB");
}

TEST(ProgressTextTest, TheBarShowsEverythingWhereThereIsRoom) {
  EXPECT_EQ(ProgressBar("hf://org/name", Some(), 100),
            "hf://org/name   37 %  [==============>                        ]  12.0/32.0 GiB  1.0 "
            "GiB/s, 20 s left");
}

TEST(ProgressTextTest, TheBarNeverGoesBeyondItsWidth) {
  Progress waiting = Some();
  waiting.waiting_for = "429 from huggingface.co, trying again in 12 s …";
  for (size_t width = 0; width < 200; ++width) {
    for (const Progress& progress : {Some(), waiting, Progress{}}) {
      EXPECT_LE(DisplayWidth(ProgressBar("hf://an-organisation/a-model", progress, width)), width);
    }
  }
}

TEST(ProgressTextTest, TheBarDropsTheNameFirstAndThenItself) {
  EXPECT_EQ(ProgressBar("hf://an-organisation/a-model-with-a-long-name", Some(), 70),
            " 37 %  [========>               ]  12.0/32.0 GiB  1.0 GiB/s, 20 s left");
  EXPECT_EQ(ProgressBar("hf://org/name", Some(), 45), " 37 %  12.0/32.0 GiB  1.0 GiB/s, 20 s left");
  EXPECT_EQ(ProgressBar("hf://org/name", Some(), 10), " 37 %  12.");
}

TEST(ProgressTextTest, ALineSaysWhyNothingMoves) {
  Progress waiting = Some();
  waiting.waiting_for = "429 from huggingface.co, trying again in 12 s";
  EXPECT_EQ(ProgressLine("hf://org/name", waiting),
            "hf://org/name: 12.0/32.0 GiB (37 %), 429 from huggingface.co, trying again in 12 s, 3 "
            "of 12 files");
}

TEST(ProgressTextTest, ReadySaysWhatWasFetched) {
  Pulled pulled{.model = "hf://org/name",
                .revision = std::string(40, 'a'),
                .tree = "/cache/trees/files/x",
                .bytes = 100 * kMiB,
                .bytes_fetched = 100 * kMiB,
                .files = 1,
                .took = 500ms};
  EXPECT_EQ(ReadyLine(pulled),
            "ready: hf://org/name (aaaaaaaaaaaa): 100.0 MiB in 500 ms (200.0 MiB/s); 1 file; tree: "
            "/cache/trees/files/x");
  pulled.bytes_fetched = 50 * kMiB;
  pulled.files = 2;
  EXPECT_EQ(ReadyLine(pulled),
            "ready: hf://org/name (aaaaaaaaaaaa): 100.0 MiB in 500 ms (50.0 MiB fetched, 100.0 "
            "MiB/s); 2 files; "
            "tree: /cache/trees/files/x");
}

TEST(ProgressTextTest, RevisionsAreShortenedOnlyIfTheyAreDigests) {
  EXPECT_EQ(ShortRevision(std::string(40, 'a')), "aaaaaaaaaaaa");
  EXPECT_EQ(ShortRevision("refs/pr/1"), "refs/pr/1");
  EXPECT_EQ(ShortRevision("abcdef"), "abcdef");
}

TEST(ProgressTextTest, AgesAreRough) {
  EXPECT_EQ(FormatAge(59s), "just now");
  EXPECT_EQ(FormatAge(5min), "5 min ago");
  EXPECT_EQ(FormatAge(47h), "47 h ago");
  EXPECT_EQ(FormatAge(72h), "3 d ago");
}

}  // namespace
}  // namespace weighhouse::cli
