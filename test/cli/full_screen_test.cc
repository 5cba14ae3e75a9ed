#include "cli/full_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(FullScreenTest, DrawsInPlaceAndErasesWhatWasThere) {
  EXPECT_EQ(DrawingOf("one\ntwo\n", "end", 20, 5),
            "\x1b[Hone\x1b[0m\x1b[K\r\ntwo\x1b[0m\x1b[K\r\n\x1b[J\x1b[5;1Hend\x1b[0m\x1b[K");
}

TEST(FullScreenTest, CutsLinesToTheWidthAndTheTextToTheHeight) {
  std::string drawing = DrawingOf("a line that is long\nsecond\nthird\n", "last line", 7, 3);
  EXPECT_THAT(drawing, HasSubstr("\x1b[Ha line\x1b[0m"));
  EXPECT_THAT(drawing, HasSubstr("second\x1b[0m"));
  EXPECT_THAT(drawing, Not(HasSubstr("third")));
  EXPECT_THAT(drawing, HasSubstr("\x1b[3;1Hlast l\x1b[0m"));
}

TEST(FullScreenTest, AColourThatIsCutOffEndsWithItsLine) {
  EXPECT_THAT(DrawingOf("\x1b[31mred and long\x1b[0m\n", "", 4, 3),
              HasSubstr("\x1b[31mred\x1b[0m\x1b[K"));
}

}  // namespace
}  // namespace weighhouse::cli
