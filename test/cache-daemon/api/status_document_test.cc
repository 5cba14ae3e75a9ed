#include "cache-daemon/api/status_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "test/cache-daemon/api/fake_engine.h"

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr std::chrono::sys_seconds kNow{std::chrono::seconds(1'800'000'000)};

/// Every name in it contains "secret".
StatusView NamedView() {
  SnapshotView view = FakeSnapshot("secret-org/secret-name", 1000, false);
  view.snapshot.id = std::string(12, 'a') + std::string(52, 'b');
  view.snapshot.revision = "secret-revision";
  view.leases = {{.volume_id = "secret-volume",
                  .target_path = "/secret-path",
                  .pod_namespace = "secret-namespace",
                  .pod_name = "secret-pod",
                  .pod_uid = "secret-uid"}};
  view.filling = fill::FillProgress{.bytes_total = 1000,
                                    .bytes_done = 250,
                                    .bytes_per_second = 75,
                                    .files_total = 1,
                                    .connections = 3,
                                    .hosts = {{.host = "https://secret-host"}},
                                    .waiting_for = "429 from secret-host"};
  StatusView status;
  status.info.contents = {.snapshots_incomplete = 1, .leases = 1, .holds = 1};
  status.info.hosts = {{.host = "https://secret-host"}};
  status.info.holds = {
      {.volume_id = "secret-volume", .bytes = 5, .model = "hf://secret-org/held", .ends = kNow}};
  status.info.keep = {{.model = "hf://secret-org/kept", .problem = "secret-host says no"}};
  status.info.integrity.damaged = {{.holder = view.leases[0], .snapshot_id = view.snapshot.id}};
  status.configuration = ConfigurationStatus{.file = "/secret-file",
                                             .applied = kNow,
                                             .error = "keep is 'secret-model'",
                                             .warnings = {"secret-warning"}};
  status.snapshots = {std::move(view)};
  return status;
}

Json Parsed(StatusView view, Details details) {
  return Json::parse(StatusDocument(std::move(view), details, kNow));
}

TEST(StatusDocumentTest, NamesNothingUnlessDetailsAreShown) {
  EXPECT_THAT(StatusDocument(NamedView(), Details::kHidden, kNow), Not(HasSubstr("secret")));
  Json hidden = Parsed(NamedView(), Details::kHidden);
  EXPECT_EQ(hidden["details"], false);
  EXPECT_EQ(hidden["snapshots"][0]["id"], "aaaaaaaaaaaa") << "no more of it";
  EXPECT_EQ(hidden["snapshots"][0]["lease_count"], 1);
  EXPECT_EQ(hidden["integrity"]["damaged_count"], 1);
  EXPECT_EQ(hidden["configuration"]["valid"], false);
  EXPECT_EQ(hidden["configuration"]["warning_count"], 1);
  EXPECT_EQ(hidden["keep"][0]["in_order"], false);
  EXPECT_EQ(hidden["fills"][0]["waiting"], true);
}

TEST(StatusDocumentTest, NamesModelsAndPodsWithDetails) {
  Json shown = Parsed(NamedView(), Details::kShown);
  const Json& snapshot = shown["snapshots"][0];
  EXPECT_EQ(shown["details"], true);
  EXPECT_THAT(snapshot["origin"].get<std::string>(), HasSubstr("secret-name"));
  EXPECT_EQ(snapshot["revision"], "secret-revision");
  EXPECT_EQ(snapshot["leases"],
            (Json::array({{{"pod_namespace", "secret-namespace"}, {"pod_name", "secret-pod"}}})));
  EXPECT_EQ(shown["fills"][0]["waiting_for"], "429 from secret-host");
  EXPECT_EQ(shown["holds"][0]["model"], "hf://secret-org/held");
  EXPECT_EQ(shown["keep"][0]["problem"], "secret-host says no");
  EXPECT_EQ(shown["integrity"]["damaged"][0]["pod_name"], "secret-pod");
  EXPECT_EQ(shown["configuration"]["error"], "keep is 'secret-model'");
}

TEST(StatusDocumentTest, SaysHowFarAFillIs) {
  StatusView view = NamedView();
  view.snapshots[0].filling->waiting_for.clear();
  Json fill = Parsed(view, Details::kHidden)["fills"][0];
  EXPECT_EQ(fill["state"], "filling");
  EXPECT_EQ(fill["bytes"], 1000);
  EXPECT_EQ(fill["bytes_present"], 250);
  EXPECT_EQ(fill["bytes_per_second"], 75);
  EXPECT_EQ(fill["connections"], 3);
  EXPECT_EQ(fill["seconds_left"], 11) << "750 bytes at 75 a second, and the second under way";
  view.snapshots[0].filling->bytes_per_second = 0;
  EXPECT_TRUE(Parsed(view, Details::kHidden)["fills"][0]["seconds_left"].is_null());
  view.snapshots[0].filling->bytes_per_second = 1;
  view.snapshots[0].filling->bytes_total = kGiB;
  EXPECT_TRUE(Parsed(view, Details::kHidden)["fills"][0]["seconds_left"].is_null()) << "years";
}

TEST(StatusDocumentTest, ListsSoManyAndTheRestIsCounted) {
  StatusView view;
  for (size_t i = 0; i < kMostListed + 5; ++i) {
    view.snapshots.push_back(FakeSnapshot("org/name", 1, true));
    view.snapshots.back().snapshot.last_used = kNow - std::chrono::seconds(i);
  }
  view.snapshots.push_back(FakeSnapshot("org/name", 1, false));
  view.snapshots.back().filling = fill::FillProgress{};
  view.info.contents.snapshots_complete = kMostListed + 5;
  view.info.contents.snapshots_incomplete = 1;
  view.info.holds.resize(kMostListed + 3);
  Json json = Parsed(view, Details::kHidden);
  ASSERT_EQ(json["snapshots"].size(), kMostListed);
  EXPECT_EQ(json["snapshot_count"], kMostListed + 6);
  EXPECT_EQ(json["snapshots"][0]["state"], "filling") << "though it was never used";
  EXPECT_EQ(json["snapshots"][1]["last_used_unix"], 1'800'000'000);
  EXPECT_EQ(json["snapshots"].back()["last_used_unix"], 1'800'000'000 - (kMostListed - 2));
  EXPECT_EQ(json["holds"].size(), kMostListed);
}

TEST(StatusDocumentTest, HasTheSumsOfSpaceByTheNamesOfTheCommandLine) {
  StatusView view;
  view.space = {.limit = 1,
                .used = 2,
                .held = 3,
                .reserved = 4,
                .for_holds = 5,
                .unallocated = 6,
                .evictable = 7,
                .available = 8,
                .filesystem_total = 9,
                .filesystem_free = 10,
                .min_free = 11};
  EXPECT_EQ(Parsed(view, Details::kHidden)["capacity"], Json::parse(R"({
    "limit": 1, "used": 2, "held": 3, "reserved": 4, "for_holds": 5, "unallocated": 6, "evictable": 7,
    "available": 8, "filesystem_total": 9, "filesystem_free": 10, "min_free": 11})"));
}

TEST(StatusDocumentTest, ShowsEvictionsStepByStep) {
  StatusView view;
  view.evicted = {.begins = kNow, .steps = {{.events = 2, .bytes = 30}, {}}};
  EXPECT_EQ(
      Parsed(view, Details::kHidden)["evicted"],
      Json::parse(
          R"({"begins_unix": 1800000000, "step_seconds": 600, "snapshots": [2, 0], "bytes": [30, 0]})"));
}

TEST(StatusDocumentTest, IsJsonWhateverTheNamesAre) {
  StatusView view = NamedView();
  view.snapshots[0].references = {"file:///\"<script>alert(1)</script>\x01\xff"};
  EXPECT_EQ(Parsed(view, Details::kShown)["snapshots"][0]["references"][0],
            "file:///\"<script>alert(1)</script>??");
}

TEST(StatusDocumentTest, WithoutAnEngineItSaysWhereTheDaemonStands) {
  EXPECT_EQ(BareStatusDocument(Phase::kStarting, "", Details::kHidden, kNow),
            "{\"format\":1,\"version\":\"" WEIGHHOUSE_VERSION
            "\",\"phase\":\"starting\",\"now_unix\":1800000000,\"details\":false}\n");
  Json problem =
      Json::parse(BareStatusDocument(Phase::kServing, "the disk is gone", Details::kShown, kNow));
  EXPECT_EQ(problem["phase"], "serving");
  EXPECT_EQ(problem["problem"], "the disk is gone");
}

}  // namespace
}  // namespace weighhouse::api
