#include "cache-daemon/store/store_impl.h"

#include <fstream>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/store/recovery.h"

namespace weighhouse::store {
namespace {

std::string ReadBootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return std::string(Trim(id));
}

SpaceLimits LimitsOf(Bytes limit, std::optional<Bytes> min_free, Bytes filesystem_total) {
  return {.limit = limit == 0 ? filesystem_total : limit,
          .min_free = min_free.value_or(filesystem_total / 20)};
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(io::Filesystem& filesystem, const Clock& clock,
                                           StoreOptions options) {
  RootLayout layout(options.root);
  PreparedRoot root = TRY(PrepareRoot(filesystem, layout));
  io::Space space = TRY(filesystem.SpaceOf(layout.root()));
  auto started = clock.Steady();
  LoadedGrantKey grant_key = TRY(LoadGrantKey(filesystem, layout));
  Recovered recovered = TRY(Recover(filesystem, layout));
  recovered.index.grants =
      TRY(ReadGrants(filesystem, layout, grant_key.is_new, ClockPair::Of(clock)));
  recovered.summary.grants = recovered.index.grants.count();
  recovered.summary.took =
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.Steady() - started);
  StoreImpl::Parts parts{
      .filesystem = filesystem,
      .clock = clock,
      .layout = std::move(layout),
      .root = std::move(root),
      .grant_key = std::move(grant_key.key),
      .boot_id = options.boot_id.empty() ? ReadBootId() : std::move(options.boot_id),
      .limits = LimitsOf(options.limit, options.min_free, space.total),
      .metrics = options.metrics,
      .index = std::move(recovered.index),
      .recovery = recovered.summary,
  };
  auto store = std::make_unique<StoreImpl>(std::move(parts));
  store->SetDeadlines();
  store->DropEndedHolds();
  // The process may have died between a refill and this.
  store->SweepQuarantine(StoreImpl::Sweep::kNeedless);
  TRY(io::RemoveTree(filesystem, RootLayout::TemporaryBeside(store->layout_.ScrubFile())));
  return store;
}

StoreImpl::StoreImpl(Parts parts)
    : filesystem_(parts.filesystem),
      clock_(parts.clock),
      layout_(std::move(parts.layout)),
      root_(std::move(parts.root)),
      grant_key_(std::move(parts.grant_key)),
      boot_id_(std::move(parts.boot_id)),
      metrics_(parts.metrics),
      recovery_(parts.recovery),
      state_(std::make_shared<StoreState>()),
      trash_(filesystem_, layout_) {
  MutexLock lock(state_->mutex);
  state_->limits = parts.limits;
  state_->index = std::move(parts.index);
}

Result<> StoreImpl::SetLimits(Bytes limit, std::optional<Bytes> min_free) {
  io::Space space = TRY(filesystem_.SpaceOf(layout_.root()));
  MutexLock lock(state_->mutex);
  state_->limits = LimitsOf(limit, min_free, space.total);
  return {};
}

StoreImpl::~StoreImpl() { trash_.Empty(); }

std::optional<Snapshot> StoreImpl::FindSnapshot(const std::string& id) const {
  MutexLock lock(state_->mutex);
  const SnapshotEntry* entry = state_->index.catalog.Find(id);
  if (entry == nullptr) return std::nullopt;
  return entry->snapshot;
}

bool StoreImpl::IsWhole(const std::string& id) const {
  MutexLock lock(state_->mutex);
  const SnapshotEntry* entry = state_->index.catalog.Find(id);
  return entry != nullptr && entry->snapshot.complete && !entry->leaving;
}

std::vector<Snapshot> StoreImpl::Snapshots() const {
  MutexLock lock(state_->mutex);
  std::vector<const SnapshotEntry*> oldest_first = state_->index.catalog.OldestFirst();
  std::vector<Snapshot> newest_first;
  for (auto entry = oldest_first.rbegin(); entry != oldest_first.rend(); ++entry) {
    newest_first.push_back((*entry)->snapshot);
  }
  return newest_first;
}

std::string DescribeUse(const Index& index, const std::string& snapshot_id) {
  size_t leases = index.leases.CountOnSnapshot(snapshot_id);
  size_t holds = index.holds.CountOn(snapshot_id);
  bool filling = index.fill_holds.contains(snapshot_id) || index.ledger.HasClaim(snapshot_id);
  std::vector<std::string> uses;
  auto add = [&](size_t count, std::string_view noun) {
    if (count > 0) uses.push_back(fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s"));
  };
  add(leases, "lease");
  add(holds, "hold");
  if (filling) uses.emplace_back("a fill");
  return fmt::format("{}", fmt::join(uses, " and "));
}

}  // namespace weighhouse::store
