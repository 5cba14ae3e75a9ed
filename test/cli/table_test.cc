#include "cli/table.h"

#include <gtest/gtest.h>

namespace weighhouse::cli {
namespace {

TEST(TableTest, AlignsColumnsToTheirWidestCell) {
  Table table({{"NAME"}, {"SIZE", Align::kRight}, {"ID"}});
  table.AddRow({"a", "1 B", "x"});
  table.AddRow({"longer name", "12.0 GiB", "y"});
  EXPECT_EQ(table.ToString(),
            "NAME             SIZE  ID\n"
            "a                 1 B  x\n"
            "longer name  12.0 GiB  y\n");
}

TEST(TableTest, IsOnlyTitlesWithoutRows) { EXPECT_EQ(Table({{"A"}, {"B"}}).ToString(), "A  B\n"); }

TEST(TableTest, CountsCodePointsAndNotBytes) {
  EXPECT_EQ(DisplayWidth("größe…"), 6u);
  EXPECT_EQ(CutToWidth("größe…", 4), "größ");
  EXPECT_EQ(CutToWidth("abc", 10), "abc");
  Table table({{"A"}, {"B"}});
  table.AddRow({"é", "1"});
  table.AddRow({"ee", "2"});
  EXPECT_EQ(table.ToString(), "A   B\né   1\nee  2\n");
}

TEST(TableTest, WideSignsTakeTwoColumnsAndMarksNone) {
  EXPECT_EQ(DisplayWidth("模型"), 4u);
  EXPECT_EQ(DisplayWidth("🚀x"), 3u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u) << "an accent of its own";
  EXPECT_EQ(DisplayWidth("\xff\xe6"), 2u) << "bytes that are no text take one each";
  EXPECT_EQ(CutToWidth("模型x", 3), "模") << "half of a sign can't be shown";
  EXPECT_EQ(CutToWidth("e\u0301b", 1), "e\u0301");
  Table table({{"A"}, {"B"}});
  table.AddRow({"模", "1"});
  table.AddRow({"ab", "2"});
  EXPECT_EQ(table.ToString(), "A   B\n模  1\nab  2\n");
}

TEST(TableTest, AColourThatIsCutOffEnds) {
  EXPECT_EQ(CutLine("\x1b[32mgreen\x1b[0m", 3), "\x1b[32mgre\x1b[0m");
  EXPECT_EQ(CutLine("\x1b[32mgreen\x1b[0m", 5), "\x1b[32mgreen\x1b[0m");
  EXPECT_EQ(CutLine("plain", 3), "pla");
}

TEST(TableTest, ColoursTakeNoColumns) {
  EXPECT_EQ(DisplayWidth("\x1b[1mab\x1b[0mc"), 3u);
  EXPECT_EQ(CutToWidth("\x1b[1mab\x1b[0mc", 1), "\x1b[1ma");
  EXPECT_EQ(CutToWidth("\x1b[1mab\x1b[0m", 2), "\x1b[1mab\x1b[0m");
}

TEST(TableTest, WithoutRoomLeavesOutOptionalColumnsAndCutsTheFirst) {
  Table table({{"NAME"},
               {.title = "AGE", .optional = true},
               {"SIZE", Align::kRight},
               {.title = "ID", .optional = true}});
  table.AddRow({"a long name", "now", "1 B", "abc"});
  EXPECT_EQ(table.ToString(27), "NAME         AGE  SIZE  ID\na long name  now   1 B  abc\n");
  EXPECT_EQ(table.ToString(26), "NAME         AGE  SIZE\na long name  now   1 B\n");
  EXPECT_EQ(table.ToString(21), "NAME         SIZE\na long name   1 B\n");
  EXPECT_EQ(table.ToString(12), "NAME    SIZE\na long   1 B\n");
  EXPECT_EQ(table.ToString(3), "N  SIZE\na   1 B\n") << "a column that must be there is";
}

}  // namespace
}  // namespace weighhouse::cli
