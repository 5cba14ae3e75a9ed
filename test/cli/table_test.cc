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

}  // namespace
}  // namespace weighhouse::cli
