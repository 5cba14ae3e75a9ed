#include "cache-daemon/metrics/registry.h"

#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/metrics/page_reader.h"

namespace weighhouse::metrics {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(RegistryTest, ShowsEachFamilyWithHelpAndType) {
  Registry registry;
  registry.Counters("weighhouse_things_total", "Things that were done.").Add({}, 3);
  EXPECT_EQ(registry.Page({}),
            "# HELP weighhouse_things_total Things that were done.\n"
            "# TYPE weighhouse_things_total counter\n"
            "weighhouse_things_total 3\n");
}

TEST(RegistryTest, CountsEachSetOfLabelValuesForItself) {
  Registry registry;
  CounterFamily things = registry.Counters("things_total", "Things.", {"kind", "result"});
  things.Add({"a", "good"});
  things.Add({"a", "bad"}, 2);
  things.Add({"a", "good"});
  things.At({"b", "good"});
  std::string page = registry.Page({});
  EXPECT_EQ(ValueOf(page, R"(things_total{kind="a",result="good"})"), "2");
  EXPECT_EQ(ValueOf(page, R"(things_total{kind="a",result="bad"})"), "2");
  EXPECT_EQ(ValueOf(page, R"(things_total{kind="b",result="good"})"), "0");
  EXPECT_EQ(ReadSamples(page).size(), 3U);
}

TEST(RegistryTest, TheSameNameIsTheSameFamily) {
  Registry registry;
  registry.Counters("things_total", "Things.").Add({});
  registry.Counters("things_total", "Things.").Add({});
  EXPECT_EQ(ValueOf(registry.Page({}), "things_total"), "2");
}

TEST(RegistryTest, SumsOfBytesAreExactToTheLastDigit) {
  Registry registry;
  Counter bytes = registry.Counters("bytes_total", "Bytes.").At({});
  bytes.Add(9007199254740990);  // 2^53 - 2: eight petabytes
  bytes.Add(1);
  EXPECT_EQ(ValueOf(registry.Page({}), "bytes_total"), "9007199254740991");
}

TEST(RegistryTest, LosesNoCountOfThreadsThatCountAtOnce) {
  Registry registry;
  CounterFamily things = registry.Counters("things_total", "Things.", {"kind"});
  Counter one = things.At({"one"});
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10000; ++n) {
        one.Add();
        if (n % 10 == 0) things.Add({"other"});
      }
    });
  }
  threads.clear();
  EXPECT_EQ(ValueOf(registry.Page({}), R"(things_total{kind="one"})"), "40000");
  EXPECT_EQ(ValueOf(registry.Page({}), R"(things_total{kind="other"})"), "4000");
}

TEST(RegistryTest, PutsDurationsIntoTheirBuckets) {
  Registry registry;
  HistogramFamily waits = registry.Histograms("wait_seconds", "Waits.", {"outcome"}, {0.01, 1});
  waits.Show({"cold"});
  waits.Observe({"warm"}, 10ms);
  waits.Observe({"warm"}, 500ms);
  waits.Observe({"warm"}, 8s);
  std::string page = registry.Page({});
  EXPECT_EQ(ValueOf(page, R"(wait_seconds_bucket{outcome="warm",le="0.01"})"), "1");
  EXPECT_EQ(ValueOf(page, R"(wait_seconds_bucket{outcome="warm",le="1"})"), "2");
  EXPECT_EQ(ValueOf(page, R"(wait_seconds_bucket{outcome="warm",le="+Inf"})"), "3");
  EXPECT_EQ(ValueOf(page, R"(wait_seconds_sum{outcome="warm"})"), "8.51");
  EXPECT_EQ(ValueOf(page, R"(wait_seconds_count{outcome="cold"})"), "0");
}

TEST(RegistryTest, ShowsGaugesAsTheyAreGiven) {
  Registry registry;
  registry.Counters("b_total", "B.").Add({});
  std::string page = registry.Page(
      {{.name = "c_bytes",
        .help = "C.",
        .labels = {"state"},
        .samples = {{.values = {"used"}, .value = 1024}, {.values = {"free"}, .value = 0}}},
       {.name = "a", .help = "A.", .samples = {{.values = {}, .value = 0.5}}}});
  EXPECT_THAT(page, HasSubstr("# TYPE c_bytes gauge\n"
                              "c_bytes{state=\"free\"} 0\n"
                              "c_bytes{state=\"used\"} 1024\n"));
  EXPECT_LT(page.find("\na 0.5"), page.find("\nb_total 1")) << "sorted by name";
}

TEST(RegistryTest, WithoutARegistryNothingIsCounted) {
  Counter().Add();
  CounterFamily().Add({"whatever"});
  HistogramFamily().Observe({"whatever"}, 1s);
}

}  // namespace
}  // namespace weighhouse::metrics
