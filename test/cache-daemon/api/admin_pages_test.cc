#include "cache-daemon/api/admin_pages.h"

#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/api/gauges.h"
#include "cache-daemon/metrics/cache_metrics.h"
#include "test/cache-daemon/api/fake_engine.h"
#include "test/cache-daemon/engine/manual_clock.h"
#include "test/cache-daemon/metrics/page_reader.h"

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;

class AdminPagesTest : public ::testing::Test {
 protected:
  std::string Value(const std::string& series) {
    return ValueOf(pages_.Metrics().text, series).value_or("absent");
  }

  metrics::Registry registry_;
  AdminPages pages_{registry_};
  FakeEngine engine_;
};

TEST_F(AdminPagesTest, ShowsWhatTheEngineSaysOfItsSpace) {
  engine_.space->held = 10 * kGiB;
  engine_.space->reserved = 5 * kGiB;
  engine_.space->evictable = 25 * kGiB;
  engine_.space->filesystem_total = 200 * kGiB;
  engine_.space->filesystem_free = 150 * kGiB;
  engine_.space->min_free = 20 * kGiB;
  pages_.Attach(engine_, nullptr);
  EXPECT_EQ(Value("weighhouse_cache_limit_bytes"), std::to_string(100 * kGiB));
  EXPECT_EQ(Value("weighhouse_cache_used_bytes"), std::to_string(40 * kGiB));
  EXPECT_EQ(Value("weighhouse_cache_held_bytes"), std::to_string(10 * kGiB));
  EXPECT_EQ(Value("weighhouse_cache_reserved_bytes"), std::to_string(5 * kGiB));
  EXPECT_EQ(Value("weighhouse_cache_evictable_bytes"), std::to_string(25 * kGiB));
  EXPECT_EQ(Value("weighhouse_cache_available_bytes"), std::to_string(60 * kGiB));
  EXPECT_EQ(Value("weighhouse_filesystem_size_bytes"), std::to_string(200 * kGiB));
  EXPECT_EQ(Value("weighhouse_filesystem_free_bytes"), std::to_string(150 * kGiB));
  EXPECT_EQ(Value("weighhouse_filesystem_min_free_bytes"), std::to_string(20 * kGiB));
}

TEST_F(AdminPagesTest, ShowsWhatTheEngineDoes) {
  engine_.info->fills_active = 3;
  engine_.info->hosts = {{.host = "https://one.example", .connections = 4, .allowance = 8},
                         {.host = "https://two.example", .connections = 1, .allowance = 4}};
  engine_.info->contents = {.snapshots_complete = 7,
                            .snapshots_incomplete = 2,
                            .snapshots_kept = 3,
                            .blobs = 70,
                            .leases = 5,
                            .quarantined_blobs = 1,
                            .quarantined_bytes = 4096};
  engine_.info->keep = {{.model = "hf://a/whole", .snapshot_id = "1"},
                        {.model = "hf://a/old", .snapshot_id = "2", .problem = "no room"},
                        {.model = "hf://a/none", .problem = "no token"}};
  engine_.info->started = std::chrono::system_clock::time_point(std::chrono::seconds(1800000000));
  engine_.info->integrity.scrub.daily_bytes = 100 * kGiB;
  pages_.Attach(engine_, nullptr);
  EXPECT_EQ(Value("weighhouse_fills_active"), "3");
  EXPECT_EQ(Value(R"(weighhouse_fill_connections{state="in_use"})"), "5");
  EXPECT_EQ(Value(R"(weighhouse_fill_connections{state="allowed"})"), "12");
  EXPECT_EQ(Value(R"(weighhouse_snapshots{state="complete"})"), "7");
  EXPECT_EQ(Value(R"(weighhouse_snapshots{state="incomplete"})"), "2");
  EXPECT_EQ(Value("weighhouse_kept_snapshots"), "3");
  EXPECT_EQ(Value("weighhouse_keep_problems"), "2");
  EXPECT_EQ(Value("weighhouse_blobs"), "70");
  EXPECT_EQ(Value("weighhouse_leases"), "5");
  EXPECT_EQ(Value("weighhouse_quarantined_blobs"), "1");
  EXPECT_EQ(Value("weighhouse_quarantined_bytes"), "4096");
  EXPECT_EQ(Value("weighhouse_scrub_daily_bytes"), std::to_string(100 * kGiB));
  EXPECT_EQ(Value("weighhouse_start_time_seconds"), "1800000000");
  EXPECT_EQ(Value(R"(weighhouse_write_engine_info{engine="pwrite",fallback="true"})"), "1");
  EXPECT_EQ(Value(R"(weighhouse_build_info{version=")" WEIGHHOUSE_VERSION R"("})"), "1");
  EXPECT_THAT(pages_.Metrics().text, Not(HasSubstr("example"))) << "hosts are no labels";
}

TEST_F(AdminPagesTest, ShowsWhetherTheConfigurationFileIsInEffect) {
  ConfigurationStatus status{.applied = std::chrono::sys_seconds(std::chrono::seconds(1800000000))};
  pages_.Attach(engine_, [&status] { return status; });
  EXPECT_EQ(Value("weighhouse_configuration_valid"), "1");
  EXPECT_EQ(Value("weighhouse_configuration_applied_timestamp_seconds"), "1800000000");
  status.error = "config.yaml:2: cache.limit is 'lots'";
  EXPECT_EQ(Value("weighhouse_configuration_valid"), "0");
  EXPECT_THAT(pages_.Metrics().text, Not(HasSubstr("lots"))) << "a reason is no label";
}

TEST_F(AdminPagesTest, KeepsTheCountersWhereTheEngineCantBeAsked) {
  registry_.Counters("weighhouse_things_total", "Things.").Add({});
  EXPECT_EQ(Value("weighhouse_things_total"), "1") << "before there is an engine";
  engine_.space = Fail(Code::kInternal, "the disk is gone");
  pages_.Attach(engine_, nullptr);
  EXPECT_EQ(Value("weighhouse_things_total"), "1");
  EXPECT_EQ(Value("weighhouse_cache_used_bytes"), "absent") << "unknown is not zero";
}

TEST_F(AdminPagesTest, IsReadyOnceTheStoreIsRecoveredUntilTheDaemonStops) {
  EXPECT_EQ(pages_.Readyz().status, 503);
  EXPECT_THAT(pages_.Readyz().text, HasSubstr("recovered"));
  EXPECT_EQ(pages_.Healthz().status, 200) << "a recovery is no reason to kill the daemon";
  pages_.Attach(engine_, nullptr);
  EXPECT_EQ(pages_.Readyz().status, 200);
  EXPECT_EQ(pages_.Healthz().status, 200);
  pages_.Detach();
  EXPECT_EQ(pages_.Readyz().status, 503);
  EXPECT_THAT(pages_.Readyz().text, HasSubstr("stopping"));
  EXPECT_EQ(pages_.Healthz().status, 200);
}

TEST_F(AdminPagesTest, SaysWhatIsWrong) {
  engine_.answers = Fail(Code::kDeadlineExceeded, "the event loop has not answered for 2 s");
  engine_.space = Fail(Code::kInternal, "the disk is gone");
  pages_.Attach(engine_, nullptr);
  AdminPages::Page health = pages_.Healthz();
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.text, "the event loop has not answered for 2 s\n");
  AdminPages::Page ready = pages_.Readyz();
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.text, "the disk is gone\n");
}

TEST_F(AdminPagesTest, StatusSaysWhereTheDaemonStands) {
  EXPECT_THAT(pages_.Status().text, HasSubstr(R"("phase":"starting")"));
  pages_.Attach(engine_, nullptr);
  EXPECT_THAT(pages_.Status().text, HasSubstr(R"("phase":"serving")"));
  EXPECT_THAT(pages_.Status().text, HasSubstr(R"("limit":)" + std::to_string(100 * kGiB)));
  pages_.Detach();
  EXPECT_THAT(pages_.Status().text, HasSubstr(R"("phase":"stopping")"))
      << "not what was made before";
}

TEST_F(AdminPagesTest, StatusSaysWhyItKnowsNothing) {
  engine_.space = Fail(Code::kInternal, "the disk is gone");
  pages_.Attach(engine_, nullptr);
  AdminPages::Page status = pages_.Status();
  EXPECT_EQ(status.status, 200);
  EXPECT_THAT(status.text, HasSubstr(R"("problem":"the disk is gone")"));
  EXPECT_THAT(status.text, Not(HasSubstr("capacity"))) << "unknown is not zero";
}

TEST_F(AdminPagesTest, StatusAsksTheEngineOnceASecond) {
  ManualClock clock;
  AdminPages pages(registry_, {.clock = &clock});
  pages.Attach(engine_, nullptr);
  EXPECT_THAT(pages.Status().text, HasSubstr(R"("snapshots":[])"));
  engine_.snapshots = {FakeSnapshot("org/name", 1, true)};
  clock.Advance(AdminPages::kStatusAge - std::chrono::milliseconds(1));
  EXPECT_THAT(pages.Status().text, HasSubstr(R"("snapshots":[])"));
  clock.Advance(std::chrono::milliseconds(1));
  EXPECT_THAT(pages.Status().text, HasSubstr(R"("snapshots":[{)"));
}

TEST_F(AdminPagesTest, StatusNamesModelsOnlyWhereItIsTold) {
  engine_.snapshots = {FakeSnapshot("org/name", 1, true)};
  pages_.Attach(engine_, nullptr);
  EXPECT_THAT(pages_.Status().text, Not(HasSubstr("org/name"))) << "the default";
  AdminPages detailed(registry_, {.details = Details::kShown});
  detailed.Attach(engine_, nullptr);
  EXPECT_THAT(detailed.Status().text, HasSubstr("org/name"));
}

TEST_F(AdminPagesTest, StatusHasWhatTheStoreEvicted) {
  metrics::StoreMetrics(registry_).OnEvicted(metrics::EvictionReason::kSpace, 12345);
  pages_.Attach(engine_, nullptr);
  EXPECT_THAT(pages_.Status().text, HasSubstr(R"("snapshots":[1],"bytes":[12345])"));
}

TEST_F(AdminPagesTest, UsesNoEngineAfterTheDetach) {
  std::atomic<bool> gone = false;
  auto engine = std::make_unique<FakeEngine>();
  pages_.Attach(*engine, nullptr);
  std::atomic<int> seen = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!gone) {
        pages_.Status();
        if (ValueOf(pages_.Metrics().text, "weighhouse_leases")) ++seen;
      }
    });
  }
  while (seen < 4) std::this_thread::yield();
  pages_.Detach();  // returns while they go on
  engine.reset();
  gone = true;
}

}  // namespace
}  // namespace weighhouse::api
