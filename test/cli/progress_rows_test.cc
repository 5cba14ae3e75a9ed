#include "cli/progress_rows.h"

#include <gmock/gmock.h>

#include "test/cli/progress_fixture.h"

namespace weighhouse::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

class ProgressRowsTest : public ProgressFixture {
 protected:
  ProgressRows Rows(std::vector<std::string> names) {
    return {write_.get(), ProgressPrinter::Style::kBar, std::move(names), clock_};
  }
};

TEST_F(ProgressRowsTest, EachHasARowThatIsDrawnInPlace) {
  {
    ProgressRows rows = Rows({"first", "second"});
    rows.Resolving(1);
    EXPECT_EQ(Written(), "first   \nsecond  asking the source\n");
    rows.Filling(0, At(50));
    EXPECT_THAT(Written(), AllOf(StartsWith("\r\x1b[2A\x1b[Jfirst   "), HasSubstr("50 %"),
                                 HasSubstr("\nsecond  asking the source\n")));
    rows.Ended(1, "failed");
    EXPECT_THAT(Written(), HasSubstr("\nsecond  failed\n"));
  }
  EXPECT_EQ(Written(), "\r\x1b[2A\x1b[J") << "nothing is left";
}

TEST_F(ProgressRowsTest, NewsComeAtOnceAndTheRestFiveTimesASecond) {
  ProgressRows rows = Rows({"a", "b"});
  rows.Filling(0, At(1));
  rows.Resolving(1);
  EXPECT_THAT(Written(), HasSubstr("b  asking"));
  rows.Filling(0, At(2));
  rows.Resolving(1);
  rows.Filling(1, {.waiting_for = ""});
  EXPECT_EQ(Written(), "") << "no sums yet, and no stage but the one that it was";
  clock_.Advance(200ms);
  rows.Filling(0, At(3));
  EXPECT_THAT(Written(), HasSubstr(" 3 %"));
}

TEST_F(ProgressRowsTest, OneIsShownAsAlways) {
  ProgressRows rows = Rows({"only"});
  rows.Resolving(0);
  EXPECT_EQ(Written(), "\r\x1b[Konly: asking the source");
  rows.Ended(0, "ready");
  EXPECT_EQ(Written(), "\r\x1b[K");
}

TEST_F(ProgressRowsTest, WhereThereAreTooFewLinesWhatHasEndedIsLeftOutFirst) {
  std::vector<std::string> names;
  for (int i = 0; i < 25; ++i) names.push_back("m" + std::to_string(i) + "!");
  ProgressRows rows = Rows(std::move(names));
  rows.Ended(3, "ready");
  std::string first = Written();
  EXPECT_EQ(std::ranges::count(first, '\n'), 23);
  EXPECT_THAT(first, AllOf(HasSubstr("m2!"), Not(HasSubstr("m3!")), HasSubstr("m23!"),
                           Not(HasSubstr("m24!"))));
  rows.Ended(5, "failed");
  std::string second = Written();
  EXPECT_THAT(second, AllOf(StartsWith("\r\x1b[23A"), Not(HasSubstr("m5!")), HasSubstr("m24!")));
}

TEST(ProgressRowTest, ALongNameShowsItsEndAndTheRowFits) {
  EXPECT_EQ(ProgressRow("hf://org/model", 5, "12 %", 80), "model  12 %");
  EXPECT_EQ(ProgressRow("a", 5, "12 %", 80), "a      12 %");
  EXPECT_EQ(ProgressRow("hf://org/model", 5, "12 %", 9), "model  12");
  EXPECT_EQ(NameWidth({"a", "hf://org/" + std::string(90, 'n')}, 79), 26u);
  EXPECT_EQ(NameWidth({"a", "bcd"}, 79), 3u);
  EXPECT_EQ(NameWidth({std::string(90, 'n')}, 20), 12u);
}

}  // namespace
}  // namespace weighhouse::cli
