#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/fault.h"
#include "base/text.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

std::string LeaseName(const std::string& id) { return "lease/" + id; }

}  // namespace

/// Whether the lease may be had at this moment.
Result<> StoreImpl::CheckLeasable(const Index& index, const LeaseRecord& lease,
                                  LeaseFor lease_for) {
  const SnapshotEntry* entry = index.catalog.Find(lease.snapshot_id);
  if (entry == nullptr) {
    return Fail(Code::kNotFound, fmt::format("snapshot {} is not known", lease.snapshot_id));
  }
  if (entry->leaving) {
    return Fail(Code::kAborted,
                fmt::format("snapshot {} is being evicted, try again", lease.snapshot_id));
  }
  if (lease.tree.empty()) return {};
  const TreeBook::Entry* tree = index.trees.Find(lease.tree);
  if (tree != nullptr && tree->snapshot_id == lease.snapshot_id) {
    // While a bad blob is on its way out, its trees are not withdrawn yet.
    bool good = tree->state == TreeBook::State::kReady && index.IsIntact(entry->snapshot);
    bool there =
        tree->state == TreeBook::State::kReady || tree->state == TreeBook::State::kWithdrawn;
    if (lease_for == LeaseFor::kMount ? there : good) return {};
  }
  return Fail(Code::kAborted,
              fmt::format("tree {} of snapshot {} is no longer handed out, ask for it "
                          "again",
                          Printable(lease.tree), lease.snapshot_id));
}

Result<> StoreImpl::PutLease(const LeaseRecord& lease, LeaseFor lease_for) {
  if (!IsHex(lease.id, 64)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a lease's id: give 64 lower-case hexadecimal digits",
                            Printable(lease.id)));
  }
  BusyScope busy = TRY(BusyScope::Take(*state_, LeaseName(lease.id)));
  std::optional<LeaseRecord> replaced;
  {
    MutexLock lock(state_->mutex);
    TRY(CheckLeasable(state_->index, lease, lease_for));
    if (const LeaseRecord* held = state_->index.leases.Find(lease.id)) replaced = *held;
    // It holds from here, before its file is written: eviction asks the index.
    state_->index.leases.Put(lease);
  }
  auto written = WriteLease(lease);
  if (!written.has_value()) {
    MutexLock lock(state_->mutex);
    state_->index.leases.Remove(lease.id);
    if (replaced) state_->index.leases.Put(*replaced);
  }
  Touch(lease.snapshot_id);
  if (replaced) DiscardUnusedTrees(replaced->snapshot_id);
  return written;
}

Result<> StoreImpl::WriteLease(const LeaseRecord& lease) {
  std::string path = layout_.Lease(lease.id);
  std::string beside = RootLayout::TemporaryBeside(path);
  // Not synced: leases outlive the process, not the kernel.
  TRY(filesystem_.WriteFile(beside, LeaseToJson(lease)));
  FaultPoint("lease.written");
  TRY(filesystem_.Rename(beside, path, io::Replace::kAllowed));
  FaultPoint("lease.renamed");
  return {};
}

Result<> StoreImpl::DropLease(const std::string& id) {
  BusyScope busy = TRY(BusyScope::Take(*state_, LeaseName(id)));
  std::optional<LeaseRecord> lease = FindLease(id);
  if (!lease) return {};
  auto removed = filesystem_.Unlink(layout_.Lease(id));
  if (!removed.has_value() && removed.error().code != Code::kNotFound) return removed;
  FaultPoint("lease.dropped");
  // First: it is idle from the next line on, and must not pass for one that was long unused.
  Touch(lease->snapshot_id);
  {
    MutexLock lock(state_->mutex);
    state_->index.leases.Remove(id);
  }
  DiscardUnusedTrees(lease->snapshot_id);
  return {};
}

std::optional<LeaseRecord> StoreImpl::FindLease(const std::string& id) const {
  MutexLock lock(state_->mutex);
  const LeaseRecord* lease = state_->index.leases.Find(id);
  if (lease == nullptr) return std::nullopt;
  return *lease;
}

std::vector<LeaseRecord> StoreImpl::Leases() const {
  MutexLock lock(state_->mutex);
  return state_->index.leases.All();
}

}  // namespace weighhouse::store
