#include "cache-daemon/engine/lease_policy.h"

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using Time = std::chrono::system_clock::time_point;
const Time kEpoch = Time(std::chrono::seconds(1000));

store::LeaseRecord Lease(const std::string& id, const std::string& pod, Time taken) {
  return {.id = id, .pod_uid = pod, .taken = taken};
}

TEST(PlanLeaseChangesTest, DropsTheLeaseOfAPodThatIsGone) {
  LeaseChanges changes =
      PlanLeaseChanges({Lease("a", "pod", kEpoch - std::chrono::seconds(1))}, {.epoch = kEpoch});
  EXPECT_EQ(changes.drop, std::vector<std::string>{"a"});
  EXPECT_TRUE(changes.recreate.empty());
}

TEST(PlanLeaseChangesTest, KeepsALeaseTakenSinceTheEpoch) {
  EXPECT_TRUE(PlanLeaseChanges({Lease("a", "pod", kEpoch)}, {.epoch = kEpoch}).drop.empty());
}

TEST(PlanLeaseChangesTest, KeepsALeaseWithAMountAPublishOrAPodDirectory) {
  std::vector<store::LeaseRecord> leases = {Lease("a", "pod", kEpoch - std::chrono::hours(1))};
  EXPECT_TRUE(
      PlanLeaseChanges(leases, {.epoch = kEpoch, .live = {{.lease_id = "a"}}}).drop.empty());
  EXPECT_TRUE(
      PlanLeaseChanges(leases, {.epoch = kEpoch, .publishing_lease_ids = {"a"}}).drop.empty());
  EXPECT_TRUE(PlanLeaseChanges(leases, {.epoch = kEpoch, .pod_uids = {"pod"}}).drop.empty());
}

TEST(PlanLeaseChangesTest, MakesALeaseForAMountThatHasNone) {
  LeaseChanges changes =
      PlanLeaseChanges({}, {.epoch = kEpoch, .live = {{.lease_id = "b", .tree = "trees/files/x"}}});
  ASSERT_EQ(changes.recreate.size(), 1U);
  EXPECT_EQ(changes.recreate[0].tree, "trees/files/x");
}

}  // namespace
}  // namespace weighhouse
