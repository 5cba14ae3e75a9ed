#include "cache-daemon/metrics/cache_metrics.h"

#include <gtest/gtest.h>

#include "test/cache-daemon/metrics/page_reader.h"

namespace weighhouse::metrics {
namespace {

using namespace std::chrono_literals;

class CacheMetricsTest : public ::testing::Test {
 protected:
  std::string Value(const std::string& series) const {
    return ValueOf(registry_.Page({}), series).value_or("absent");
  }

  Registry registry_;
  CacheMetrics metrics_{registry_};
};

TEST_F(CacheMetricsTest, ShowsWhatHasNotHappenedYetAsZero) {
  EXPECT_EQ(Value(R"(weighhouse_fills_started_total{source="huggingface"})"), "0");
  EXPECT_EQ(Value(R"(weighhouse_fills_ended_total{code="OK",source="local"})"), "0");
  EXPECT_EQ(Value(R"(weighhouse_fill_duration_seconds_count{source="http"})"), "0");
  EXPECT_EQ(Value(R"(weighhouse_evictions_total{reason="space"})"), "0");
  EXPECT_EQ(Value(R"(weighhouse_acquires_total{result="hit"})"), "0");
  EXPECT_EQ(Value(R"(weighhouse_acquire_duration_seconds_count{outcome="cold"})"), "0");
  EXPECT_EQ(Value("weighhouse_blobs_quarantined_total"), "0");
}

TEST_F(CacheMetricsTest, CallsSourcesAsTheConfigurationDoes) {
  EXPECT_EQ(SourceKindName(SourceKindOf("hf")), "huggingface");
  EXPECT_EQ(SourceKindName(SourceKindOf("oci")), "oci");
  EXPECT_EQ(SourceKindName(SourceKindOf("http")), "http");
  EXPECT_EQ(SourceKindName(SourceKindOf("https")), "http");
  EXPECT_EQ(SourceKindName(SourceKindOf("s3")), "s3");
  EXPECT_EQ(SourceKindName(SourceKindOf("gs")), "gcs");
  EXPECT_EQ(SourceKindName(SourceKindOf("file")), "local");
}

TEST_F(CacheMetricsTest, MeasuresTheFillsThatMadeTheirModelComplete) {
  metrics_.fill.OnEnded(SourceKind::kHttp, {}, 20s);
  metrics_.fill.OnEnded(SourceKind::kHttp, Fail(Code::kUnavailable, "the server is away"), 40s);
  EXPECT_EQ(Value(R"(weighhouse_fills_ended_total{code="OK",source="http"})"), "1");
  EXPECT_EQ(Value(R"(weighhouse_fills_ended_total{code="UNAVAILABLE",source="http"})"), "1");
  EXPECT_EQ(Value(R"(weighhouse_fill_duration_seconds_sum{source="http"})"), "20");
}

TEST_F(CacheMetricsTest, WhatWaitedForAFillIsCold) {
  metrics_.acquire.OnReady(Lookup::kHit, 2ms);
  metrics_.acquire.OnReady(Lookup::kMiss, 20s);
  metrics_.acquire.OnReady(Lookup::kJoined, 10s);
  metrics_.acquire.OnReady(Lookup::kReplay, 1ms);
  EXPECT_EQ(Value(R"(weighhouse_acquire_duration_seconds_count{outcome="warm"})"), "1");
  EXPECT_EQ(Value(R"(weighhouse_acquire_duration_seconds_sum{outcome="cold"})"), "30");
}

TEST_F(CacheMetricsTest, CountsEvictedBytesByReason) {
  metrics_.store.OnEvicted(EvictionReason::kSpace, 4096);
  metrics_.store.OnEvicted(EvictionReason::kRequest, 8192);
  metrics_.store.OnEvicted(EvictionReason::kSpace, 4096);
  EXPECT_EQ(Value(R"(weighhouse_evictions_total{reason="space"})"), "2");
  EXPECT_EQ(Value(R"(weighhouse_evicted_bytes_total{reason="space"})"), "8192");
  EXPECT_EQ(Value(R"(weighhouse_evicted_bytes_total{reason="request"})"), "8192");
}

TEST_F(CacheMetricsTest, CountsRefetchedBytesByWhyTheyHadGone) {
  EXPECT_EQ(Value(R"(weighhouse_refetched_bytes_total{reason="limit"})"), "0");
  metrics_.store.OnRefetched(EvictionReason::kSpace, 4096);
  metrics_.store.OnRefetched(EvictionReason::kRequest, 1);
  EXPECT_EQ(Value(R"(weighhouse_refetched_bytes_total{reason="space"})"), "4096");
  EXPECT_EQ(Value(R"(weighhouse_refetched_bytes_total{reason="request"})"), "1");
}

/// Every error there is, of every source: the most that fills can make of the page.
TEST_F(CacheMetricsTest, IsBoundedByTheCodesThereAre) {
  auto fail_in_every_way = [&] {
    for (int code = 1; code <= 16; ++code) {
      metrics_.acquire.OnFailed(static_cast<Code>(code));
      for (SourceKind source : kSourceKinds) {
        metrics_.fill.OnEnded(source, Fail(static_cast<Code>(code), "a message of its own"), 1s);
      }
    }
  };
  fail_in_every_way();
  size_t series = ReadSamples(registry_.Page({})).size();
  for (int round = 0; round < 1000; ++round) fail_in_every_way();
  EXPECT_EQ(ReadSamples(registry_.Page({})).size(), series);
  // A good score and sixteen failures of each source, its other samples, and what is of none.
  EXPECT_LT(series, 90 + 40 * std::size(kSourceKinds));
}

}  // namespace
}  // namespace weighhouse::metrics
