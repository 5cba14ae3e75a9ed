#include "cache-daemon/fill/connection_governor.h"

#include <gtest/gtest.h>

#include "test/cache-daemon/fill/simulated_network.h"

namespace weighhouse::fill {
namespace {

using namespace std::chrono_literals;

constexpr double kLink = 125e6;

TEST(ConnectionGovernorTest, StaysSmallWhereOneConnectionSaturates) {
  SimulatedNetwork network({.bytes_per_second = 3e8, .per_connection = 3e8, .first_byte = 0ms});
  network.Add("fill");
  network.Run(15s);
  EXPECT_LE(network.allowance(), 8U);
  EXPECT_GE(network.RateOver(10s), 0.93 * 3e8);
  EXPECT_LE(network.allowance(), 8U);
}

TEST(ConnectionGovernorTest, GrowsUntilAFarLinkIsFull) {
  SimulatedNetwork network({});
  network.Add("fill");
  network.Run(6s);
  EXPECT_GE(network.RateOver(4s), 0.93 * kLink) << "within ten seconds";
  EXPECT_GE(network.RateOver(60s), 0.93 * kLink);
  EXPECT_GE(network.allowance(), 11U);
  EXPECT_LE(network.allowance(), 16U);
}

TEST(ConnectionGovernorTest, BearsAResetNowAndThen) {
  SimulatedNetwork network({.reset_every = 2000ms});
  network.Add("fill");
  network.Run(10s);
  EXPECT_GE(network.RateOver(60s), 0.93 * kLink);
  EXPECT_GE(network.allowance(), 10U);
}

TEST(ConnectionGovernorTest, ShrinksWhenConnectionsBreakAllTheTime) {
  SimulatedNetwork network({.per_connection = 1e6, .reset_every = 100ms});
  network.Add("fill");
  network.Run(20s);
  EXPECT_LE(network.allowance(), 4U);
}

TEST(ConnectionGovernorTest, LearnsHowManyAHostRefuses) {
  SimulatedNetwork network({.refuse_above = 8});
  network.Add("fill");
  network.Run(20s);
  EXPECT_GE(network.allowance(), 6U);
  EXPECT_LE(network.allowance(), 8U);
  EXPECT_LE(network.refusals, 3U);
  network.Run(100s);
  EXPECT_LE(network.allowance(), 9U);
  EXPECT_LE(network.refusals, 8U) << "asked again now and then only";
}

TEST(ConnectionGovernorTest, FollowsALinkThatLosesHalfItsCapacity) {
  SimulatedNetwork network({});
  network.Add("fill");
  network.Run(15s);
  network.link.bytes_per_second = kLink / 2;
  EXPECT_GE(network.RateOver(60s), 0.93 * kLink / 2);
  EXPECT_LE(network.allowance(), 11U);
}

TEST(ConnectionGovernorTest, KeepsTheLimitsPerHostAndInAll) {
  SimulatedNetwork one_host({.bytes_per_second = 1e9}, {.total = 24, .per_host = 16});
  one_host.Add("fill");
  one_host.Run(8s);
  EXPECT_EQ(one_host.governor.total_in_use(), 16U);
  SimulatedNetwork in_all({.bytes_per_second = 1e9}, {.total = 10, .per_host = 16});
  in_all.Add("fill");
  in_all.Run(20s);
  EXPECT_EQ(in_all.governor.total_in_use(), 10U);
}

TEST(ConnectionGovernorTest, KeepsToLimitsThatAreChanged) {
  SimulatedNetwork network({.bytes_per_second = 1e9}, {.total = 24, .per_host = 16});
  network.Add("fill");
  network.Run(8s);
  network.governor.SetLimits({.total = 24, .per_host = 6});
  network.Run(4s);
  EXPECT_LE(network.governor.total_in_use(), 6U);
  network.governor.SetLimits({.total = 4, .per_host = 6});
  network.Run(4s);
  EXPECT_LE(network.governor.total_in_use(), 4U);
  network.governor.SetLimits({.total = 24, .per_host = 16});
  network.Run(8s);
  EXPECT_EQ(network.governor.total_in_use(), 16U);
}

TEST(ConnectionGovernorTest, SharesEquallyBetweenFillsWhateverTheirFiles) {
  SimulatedNetwork network({});
  auto& one = network.Add("one");
  network.Run(10s);
  auto& first = network.Add("two");
  auto& second = network.Add("two");
  network.Run(3s);
  double two = first.bytes() + second.bytes();
  double before = one.bytes();
  network.Run(20s);
  double ratio = (one.bytes() - before) / (first.bytes() + second.bytes() - two);
  EXPECT_GT(ratio, 0.8);
  EXPECT_LT(ratio, 1.25);
}

TEST(ConnectionGovernorTest, GivesWhatOneDoesNotWantToTheOther) {
  SimulatedNetwork network({});
  auto& small = network.Add("small", FillPriority::kWaitedFor, 2);
  auto& large = network.Add("large");
  network.Run(20s);
  EXPECT_LE(small.connections(), 2U);
  EXPECT_GE(large.connections(), 8U);
}

TEST(ConnectionGovernorTest, FetchesTheFirstTwoFilesOfAFillFirst) {
  SimulatedNetwork network({});
  for (int i = 0; i < 4; ++i) network.Add("fill");
  network.Run(10s);
  EXPECT_GE(network.files[0]->connections(), 4U);
  EXPECT_GE(network.files[1]->connections(), 4U);
  EXPECT_EQ(network.files[2]->connections() + network.files[3]->connections(), 0U);
}

TEST(ConnectionGovernorTest, MakesAPrefetchYieldAllButOneConnectionAtOnce) {
  SimulatedNetwork network({});
  auto& prefetch = network.Add("prefetch", FillPriority::kPrefetch);
  network.Run(10s);
  EXPECT_GE(prefetch.connections(), 9U) << "alone it has all";
  auto& waited = network.Add("waited");
  network.Run(50ms);
  EXPECT_EQ(prefetch.connections(), 1U);
  EXPECT_GE(waited.connections(), 8U);
  network.Run(10s);
  EXPECT_EQ(prefetch.connections(), 1U) << "it doesn't starve";
}

TEST(ConnectionGovernorTest, RaisesAPrefetchThatSomebodyWaitsFor) {
  SimulatedNetwork network({});
  auto& other = network.Add("other");
  auto& raised = network.Add("raised", FillPriority::kPrefetch);
  network.Run(10s);
  EXPECT_EQ(raised.connections(), 1U);
  network.governor.SetClaim(
      raised, {.host = "https://cdn", .fill = "raised", .priority = FillPriority::kWaitedFor});
  network.Run(3s);
  EXPECT_GE(raised.connections() + 1, other.connections());
}

TEST(ConnectionGovernorTest, TellsHostsApartBySchemeNameAndPort) {
  EXPECT_EQ(HostOfUrl("https://CDN.example/a?b=c://d"), "https://cdn.example");
  EXPECT_EQ(HostOfUrl("http://user@127.0.0.1:81?x"), "http://127.0.0.1:81");
  EXPECT_EQ(HostOfUrl("file:///models/a@b"), "file://");
}

}  // namespace
}  // namespace weighhouse::fill
