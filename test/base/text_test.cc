#include "base/text.h"

#include <array>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(TrimTest, TakesWhiteSpaceFromBothEndsOnly) {
  EXPECT_EQ(Trim(" \t\r\n\v\fa b\n "), "a b");
  EXPECT_EQ(Trim(" \n "), "");
  EXPECT_EQ(Trim(""), "");
  EXPECT_EQ(Trim("\xc2\xa0x"), "\xc2\xa0x");  // only ASCII
}

TEST(ToLowerTest, ChangesAsciiLettersOnly) {
  EXPECT_EQ(ToLower("AbZ-09[@`{"), "abz-09[@`{");
  EXPECT_EQ(ToLower("\xc3\x84"), "\xc3\x84");
}

TEST(SplitTest, TrimsPartsAndDropsEmptyOnes) {
  EXPECT_THAT(SplitAndTrim(" *.json , ,*.txt,", ','), ElementsAre("*.json", "*.txt"));
  EXPECT_THAT(SplitAndTrim("one", ','), ElementsAre("one"));
  EXPECT_THAT(SplitAndTrim("", ','), IsEmpty());
  EXPECT_THAT(SplitAndTrim(" , ,", ','), IsEmpty());
}

TEST(JoinTest, PutsTheSeparatorBetween) {
  const std::vector<std::string> parts = {"a", "b", "c"};
  EXPECT_EQ(Join(parts, ", "), "a, b, c");
  EXPECT_EQ(Join({}, ", "), "");
}

TEST(NearestTest, FindsTheSlipOfTheFinger) {
  constexpr std::array<std::string_view, 4> kKeys = {"model", "revision", "allowPatterns",
                                                     "layout"};
  EXPECT_EQ(Nearest("modle", kKeys), "");  // two edits of five letters: too far
  EXPECT_EQ(Nearest("mode", kKeys), "model");
  EXPECT_EQ(Nearest("Model", kKeys), "model");
  EXPECT_EQ(Nearest("allowPattern", kKeys), "allowPatterns");
  EXPECT_EQ(Nearest("allow_patterns", kKeys), "allowPatterns");
  EXPECT_EQ(Nearest("revison", kKeys), "revision");
}

TEST(NearestTest, SaysNothingWhereNothingIsNear) {
  constexpr std::array<std::string_view, 2> kKeys = {"model", "revision"};
  EXPECT_EQ(Nearest("credentials", kKeys), "");
  EXPECT_EQ(Nearest("", kKeys), "");
  EXPECT_EQ(Nearest("model", {}), "");
}

TEST(PrintableTest, KeepsTextOfEveryLanguage) {
  EXPECT_EQ(Printable("plain, größe, 模型, 🦙"), "plain, größe, 模型, 🦙");
  EXPECT_EQ(Printable(""), "");
}

TEST(PrintableTest, ReplacesControlCharacters) {
  EXPECT_EQ(Printable("a\nb\x1b[31mc\x7f"), "a?b?[31mc?");
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J\xc2\x80"),
            "?2J?");  // C1: a terminal obeys U+009B like ESC [
  EXPECT_EQ(Printable("\xc2\xa0"), "\xc2\xa0");
}

TEST(PrintableTest, ReplacesWhatDisguisesText) {
  EXPECT_EQ(Printable("a\u202eb\u2066c\u2069"), "a?b?c?");
  EXPECT_EQ(Printable("\u200f\u061c\u2028\u2029"), "????");
  EXPECT_EQ(Printable("\u200d\u2026\u2027\u202f"), "\u200d\u2026\u2027\u202f") << "neighbours";
}

TEST(PrintableTest, ReplacesEachByteThatIsNotUtf8) {
  EXPECT_EQ(Printable("\xff\xfe"), "??");
  EXPECT_EQ(Printable("a\x80z"), "a?z");             // continuation without a start
  EXPECT_EQ(Printable("\xc3"), "?");                 // cut off
  EXPECT_EQ(Printable("\xe6\xa8"), "??");            // cut off
  EXPECT_EQ(Printable("\xc0\xaf"), "??");            // overlong
  EXPECT_EQ(Printable("\xe0\x80\xaf"), "???");       // overlong
  EXPECT_EQ(Printable("\xf0\x80\x80\xaf"), "????");  // overlong
  EXPECT_EQ(Printable("\xed\xa0\x80"), "???");       // surrogate
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
  EXPECT_EQ(Printable("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
}

TEST(PrintableTest, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(Printable("abcdef", 6), "abcdef");
  EXPECT_EQ(Printable("abcdef", 5), "abcde…");
  EXPECT_EQ(Printable("ab模", 4), "ab…");
  EXPECT_EQ(Printable("ab模", 5), "ab模");
  EXPECT_EQ(Printable(std::string(1000, 'x')), std::string(200, 'x') + "…");
}

TEST(PercentEncodeTest, KeepsUnreservedCharactersOnly) {
  const std::string unreserved = "AZaz09-._~";
  EXPECT_EQ(PercentEncode(unreserved), unreserved);
  EXPECT_EQ(PercentEncode("a b/c?d#e%f+"), "a%20b%2Fc%3Fd%23e%25f%2B");
  EXPECT_EQ(PercentEncode("ä"), "%C3%A4");
  EXPECT_EQ(PercentEncode(std::string_view("\0\xff", 2)), "%00%FF");
  EXPECT_EQ(PercentEncode(""), "");
}

TEST(PercentEncodeTest, KeepsWhatItIsTold) {
  EXPECT_EQ(PercentEncode("refs/pr/1", "/"), "refs/pr/1");
  EXPECT_EQ(PercentEncode("a/b c", "/"), "a/b%20c");
}

}  // namespace
}  // namespace weighhouse
