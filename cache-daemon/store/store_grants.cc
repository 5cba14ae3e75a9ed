#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/fault.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

std::string GrantsName(const std::string& key) { return "grants/" + key; }

}  // namespace

OriginGrants StoreImpl::GrantsOf(const std::string& key) const {
  MutexLock lock(state_->mutex);
  const OriginGrants* known = state_->index.grants.Find(key);
  return known == nullptr ? OriginGrants() : *known;
}

Result<> StoreImpl::RecordGrant(const GrantUse& use) {
  const std::string key = GrantsKey(use.origin);
  std::optional<std::string> surplus;
  {
    BusyScope busy = TRY(BusyScope::Take(*state_, GrantsName(key)));
    OriginGrants grants = GrantsOf(key);
    bool due = PutGrant(grants, grant_key_.MacOf(use.origin, use.credential), use);
    Result<> written;
    if (due) written = WriteGrants(key, grants);
    {
      // Also where that failed: it may be on the disk, and who takes it back must find it.
      if (due && written) MarkRecorded(grants);
      MutexLock lock(state_->mutex);
      state_->index.grants.Put(key, std::move(grants));
      surplus = state_->index.grants.Surplus(kMostGrantedOrigins);
    }
    TRY(std::move(written));
  }
  if (!surplus) return {};
  return ChangeGrants(*surplus, [](OriginGrants& grants) {
    grants.grants.clear();
    return true;
  });
}

std::optional<std::chrono::system_clock::time_point> StoreImpl::GrantChecked(
    const std::string& origin, std::string_view credential) const {
  const std::string mac = grant_key_.MacOf(origin, credential);
  MutexLock lock(state_->mutex);
  const OriginGrants* grants = state_->index.grants.Find(GrantsKey(origin));
  const Grant* grant = grants == nullptr ? nullptr : FindGrant(*grants, mac);
  if (grant == nullptr) return std::nullopt;
  return grant->checked;
}

Result<> StoreImpl::DropGrant(const std::string& origin, std::string_view credential) {
  const std::string mac = grant_key_.MacOf(origin, credential);
  return ChangeGrants(GrantsKey(origin),
                      [&](OriginGrants& grants) { return RemoveGrant(grants, mac); });
}

void StoreImpl::DropGrantsBefore(std::chrono::system_clock::time_point time) {
  std::vector<std::string> old;
  {
    MutexLock lock(state_->mutex);
    old = state_->index.grants.CheckedBefore(time);
  }
  for (const std::string& key : old) {
    Result<> dropped = ChangeGrants(key, [&](OriginGrants& grants) {
      return std::erase_if(grants.grants,
                           [&](const Grant& grant) { return grant.checked < time; }) > 0;
    });
    if (!dropped) spdlog::warn("store: {}", dropped.error().message);
  }
}

// In memory first: from then on nobody is served by what goes.
Result<> StoreImpl::ChangeGrants(const std::string& key,
                                 const std::function<bool(OriginGrants&)>& take) {
  BusyScope busy = TRY(BusyScope::Take(*state_, GrantsName(key)));
  OriginGrants grants = GrantsOf(key);
  if (!take(grants)) return {};
  {
    MutexLock lock(state_->mutex);
    state_->index.grants.Put(key, grants);
  }
  Result<> written = WriteGrants(key, grants);
  if (written || grants.grants.empty()) return written;
  // Rather none of them than one that was taken back.
  return WriteGrants(key, {});
}

Result<> StoreImpl::WriteGrants(const std::string& key, const OriginGrants& grants) {
  const std::string path = layout_.Grants(key);
  if (!grants.grants.empty()) {
    return WriteDurably(filesystem_, path, GrantsToJson(grants),
                        {.written = "grant.written", .renamed = "grant.renamed"});
  }
  Result<> removed = filesystem_.Unlink(path);
  if (!removed && removed.error().code != Code::kNotFound) return removed;
  FaultPoint("grant.dropped");
  return filesystem_.SyncDirectory(layout_.GrantsDirectory());
}

}  // namespace weighhouse::store
