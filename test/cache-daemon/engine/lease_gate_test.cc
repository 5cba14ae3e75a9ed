#include "cache-daemon/engine/lease_gate.h"

#include <future>

#include "test/cache-daemon/engine/manual_clock.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;
using store::LeaseOn;
using store::LeaseRecord;

/// A gate before a store with one snapshot.
class LeaseGateTest : public store::StoreTest {
 protected:
  LeaseGateTest() {
    Open();
    snapshot_id_ = store::Fill(*store_, store::ListingOf(files_), files_)->id;
    gate_ = std::make_unique<LeaseGate>(*store_, time_);
  }

  LeaseRecord Lease(const std::string& name) const { return LeaseOn(snapshot_id_, name); }
  Result<> Take(const LeaseRecord& lease) { return gate_->Take(*gate_->Announce(lease.id), lease); }
  bool IsHeld(const LeaseRecord& lease) const { return store_->FindLease(lease.id).has_value(); }

  const store::TestFiles files_ = {{"a", "first"}};
  std::string snapshot_id_;
  ManualClock time_;
  std::unique_ptr<LeaseGate> gate_;
};

TEST_F(LeaseGateTest, ALeaseWaitsForItsOwnOperationsAndForNoOthers) {
  LeaseRecord slow = Lease("slow");
  // A disk that stands still.
  std::promise<void> begun, go_on;
  filesystem_.Before("Rename", slow.id, [&] {
    begun.set_value();
    go_on.get_future().wait_for(60s);
  });
  auto taken = std::async(std::launch::async, [&] { return Take(slow); });
  ASSERT_EQ(begun.get_future().wait_for(30s), std::future_status::ready);
  ASSERT_TRUE(IsHeld(slow));

  auto released = std::async(std::launch::async, [&] { return gate_->Release(slow.id); });
  auto other = std::async(std::launch::async, [&]() -> Result<> {
    TRY(Take(Lease("other")));
    return gate_->Release(Lease("other").id);
  });
  EXPECT_EQ(other.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(released.wait_for(0s), std::future_status::timeout);

  go_on.set_value();
  EXPECT_TRUE(taken.get().has_value());
  EXPECT_TRUE(other.get().has_value());
  EXPECT_TRUE(released.get().has_value());
  EXPECT_FALSE(IsHeld(slow));
}

TEST_F(LeaseGateTest, AReleaseThatOvertakesItsAcquireLeavesNoLease) {
  LeaseRecord lease = Lease("pod");
  auto intent = gate_->Announce(lease.id);
  ASSERT_TRUE(gate_->Release(lease.id).has_value());
  Result<> taken = gate_->Take(*intent, lease);
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.error().code, Code::kCancelled);
  EXPECT_FALSE(IsHeld(lease));
  EXPECT_TRUE(Take(lease).has_value());
}

TEST_F(LeaseGateTest, AFailedAcquireUndoesNoLaterOnesLease) {
  LeaseRecord lease = Lease("pod");
  auto earlier = gate_->Announce(lease.id);
  ASSERT_TRUE(gate_->Take(*earlier, lease).has_value());
  ASSERT_TRUE(Take(lease).has_value());
  ASSERT_TRUE(gate_->Undo(*earlier).has_value());
  EXPECT_TRUE(IsHeld(lease));
}

TEST_F(LeaseGateTest, AReleaseIsRememberedForAsLongAsAnOldViewOfTheMountsMayCome) {
  LeaseRecord lease = Lease("pod");
  auto epoch = time_.Now();
  ASSERT_TRUE(gate_->Release(lease.id).has_value());
  EXPECT_EQ(gate_->Recreate(lease, epoch).error().code, Code::kCancelled);
  time_.Advance(6min);
  ASSERT_TRUE(gate_->Release(lease.id).has_value());
  time_.Advance(6min);
  ASSERT_TRUE(gate_->Release(Lease("other").id).has_value());
  EXPECT_EQ(gate_->Recreate(lease, epoch).error().code, Code::kCancelled);
  EXPECT_TRUE(gate_->Recreate(lease, time_.Now()).has_value());
  time_.Advance(6min);
  ASSERT_TRUE(gate_->Release(Lease("other").id).has_value());
  EXPECT_TRUE(gate_->Recreate(lease, epoch).has_value());
}

}  // namespace
}  // namespace weighhouse
