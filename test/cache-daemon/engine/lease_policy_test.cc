#include "cache-daemon/engine/lease_policy.h"

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using Time = std::chrono::system_clock::time_point;
const Time kEpoch = Time(std::chrono::seconds(1000));

store::LeaseRecord Lease(const std::string& id, const std::string& pod, Time taken) {
  return {.id = id, .pod_uid = pod, .taken = taken};
}

/// Every tree is named after its snapshot.
LeaseChanges Plan(const std::vector<store::LeaseRecord>& leases, const SyncRequest& request) {
  return PlanLeaseChanges(leases, request,
                          [](const std::string& tree) { return std::optional(tree); });
}

TEST(PlanLeaseChangesTest, DropsTheLeaseOfAPodThatIsGone) {
  LeaseChanges changes =
      Plan({Lease("a", "pod", kEpoch - std::chrono::seconds(1))}, {.epoch = kEpoch});
  EXPECT_EQ(changes.drop, std::vector<std::string>{"a"});
  EXPECT_TRUE(changes.recreate.empty());
}

TEST(PlanLeaseChangesTest, KeepsALeaseTakenSinceTheEpoch) {
  EXPECT_TRUE(Plan({Lease("a", "pod", kEpoch)}, {.epoch = kEpoch}).drop.empty());
}

TEST(PlanLeaseChangesTest, KeepsALeaseWithAMountAPublishOrAPodDirectory) {
  std::vector<store::LeaseRecord> leases = {Lease("a", "pod", kEpoch - std::chrono::hours(1))};
  EXPECT_TRUE(Plan(leases, {.epoch = kEpoch, .live = {{.lease_id = "a"}}}).drop.empty());
  EXPECT_TRUE(Plan(leases, {.epoch = kEpoch, .publishing_lease_ids = {"a"}}).drop.empty());
  EXPECT_TRUE(Plan(leases, {.epoch = kEpoch, .pod_uids = {"pod"}}).drop.empty());
}

TEST(PlanLeaseChangesTest, MakesALeaseForAMountThatHasNone) {
  LeaseChanges changes =
      Plan({}, {.epoch = kEpoch, .live = {{.lease_id = "b", .tree = "trees/files/x"}}});
  ASSERT_EQ(changes.recreate.size(), 1U);
  EXPECT_EQ(changes.recreate[0].tree, "trees/files/x");
}

TEST(PlanLeaseChangesTest, MakesTheLeaseAgainThatIsOnAnotherSnapshotThanTheMountedOne) {
  store::LeaseRecord lease = Lease("a", "pod", kEpoch - std::chrono::seconds(1));
  lease.snapshot_id = "new";
  SyncRequest request{.epoch = kEpoch, .live = {{.lease_id = "a", .tree = "old"}}};
  LeaseChanges changes = Plan({lease}, request);
  EXPECT_TRUE(changes.drop.empty());
  ASSERT_EQ(changes.recreate.size(), 1U);
  EXPECT_EQ(changes.recreate[0].tree, "old");

  request.publishing_lease_ids = {"a"};
  EXPECT_TRUE(Plan({lease}, request).recreate.empty()) << "a publish settles it";
  request.publishing_lease_ids.clear();
  lease.taken = kEpoch;
  EXPECT_TRUE(Plan({lease}, request).recreate.empty())
      << "it is newer than the mounts that were read";
  lease = Lease("a", "pod", kEpoch - std::chrono::seconds(1));
  lease.snapshot_id = "old";
  EXPECT_TRUE(Plan({lease}, request).recreate.empty());
}

}  // namespace
}  // namespace weighhouse
