#include "base/units.h"

#include <limits>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(FormatBytesTest, UsesBinaryPrefixesWithOneDecimal) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(512), "512 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(kMiB - 1), "1.0 MiB");
  EXPECT_EQ(FormatBytes(kMiB + kMiB / 2), "1.5 MiB");
  EXPECT_EQ(FormatBytes(12992276070), "12.1 GiB");
  EXPECT_EQ(FormatBytes(1024 * kGiB), "1.0 TiB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<Bytes>::max()), "16384.0 PiB");
}

TEST(FormatRateTest, AddsPerSecond) {
  EXPECT_EQ(FormatRate(1288490188.8), "1.2 GiB/s");
  EXPECT_EQ(FormatRate(0), "0 B/s");
}

TEST(FormatDurationTest, ShowsTwoUnitsAtMost) {
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0 ms");
  EXPECT_EQ(FormatDuration(milliseconds(350)), "350 ms");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1.5 s");
  EXPECT_EQ(FormatDuration(milliseconds(17400)), "17 s");
  EXPECT_EQ(FormatDuration(milliseconds(59999)), "59 s");
  EXPECT_EQ(FormatDuration(milliseconds(125000)), "2 min 5 s");
  EXPECT_EQ(FormatDuration(milliseconds(3780000)), "1 h 3 min");
}

TEST(ParseBytesTest, ReadsKubernetesQuantities) {
  const std::pair<std::string_view, Bytes> kGood[] = {
      {"0", 0},           {"1073741824", kGiB},     {"1k", 1000},
      {"2M", 2000000},    {"500Gi", 500 * kGiB},    {"1.5T", 1500000000000},
      {"0.5Ki", 512},     {"1Ti", 1024 * kGiB},     {"1Pi", 1024 * 1024 * kGiB},
      {"3G", 3000000000}, {"1P", 1000000000000000}, {"7Mi", 7 * kMiB}};
  for (auto [text, bytes] : kGood) {
    Result<Bytes> parsed = ParseBytes(text);
    ASSERT_TRUE(parsed.has_value()) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytesTest, RefusesTheRestWithTheWayOut) {
  for (std::string bad : {"",
                          "Gi",
                          "-1",
                          "-0",
                          "+5",
                          "1 Gi",
                          " 1",
                          "1GiB",
                          "1gi",
                          "1m",
                          "0x10",
                          "1e3",
                          "1.2.3",
                          ".",
                          "inf",
                          "nan",
                          "nanKi",
                          "infinity",
                          "9223372036854775808",
                          "9000Pi",
                          "ten"}) {
    Result<Bytes> parsed = ParseBytes(bad);
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr("'" + bad + "'"));
    EXPECT_THAT(parsed.error().message, HasSubstr("such as 500Gi"));
  }
}

TEST(ParseBytesTest, ShowsBadBytesAsPrintable) {
  EXPECT_THAT(ParseBytes("\xffx\n").error().message, HasSubstr("'?x?'"));
}

TEST(ByteRangeTest, KnowsItsSize) {
  EXPECT_EQ((ByteRange{.begin = 10, .end = 25}).size(), 15U);
  EXPECT_EQ(ByteRange{}.size(), 0U);
}

}  // namespace
}  // namespace weighhouse
