#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

using std::chrono::steady_clock;

std::string GrantsName(const std::string& key) { return "grants/" + key; }

}  // namespace

// In memory first: nobody is served by what goes, from that moment on, and whoever writes next
// writes the newest.
Result<> StoreImpl::RecordGrant(const GrantUse& use) {
  const std::string key = GrantsKey(use.origin);
  const std::string mac = grant_key_.MacOf(use.origin, use.credential);
  bool due = false;
  std::optional<std::string> surplus;
  {
    MutexLock lock(state_->mutex);
    due = state_->index.grants.Put(key, mac, use);
    surplus = state_->index.grants.Surplus(kMostGrantedOrigins);
    if (surplus) state_->index.grants.RemoveBefore(*surplus, steady_clock::time_point::max());
  }
  if (due) TRY(SaveGrants(key));
  if (surplus) TRY(SaveGrants(*surplus));
  return {};
}

std::optional<steady_clock::time_point> StoreImpl::GrantAsked(const std::string& origin,
                                                              std::string_view credential,
                                                              std::string_view choice) const {
  const std::string mac = grant_key_.MacOf(origin, credential);
  MutexLock lock(state_->mutex);
  const Grant* grant = state_->index.grants.Find(GrantsKey(origin), mac, choice);
  if (grant == nullptr) return std::nullopt;
  return grant->asked;
}

Result<> StoreImpl::DropGrant(const std::string& origin, std::string_view credential) {
  const std::string key = GrantsKey(origin);
  const std::string mac = grant_key_.MacOf(origin, credential);
  {
    MutexLock lock(state_->mutex);
    if (!state_->index.grants.Refuse(key, mac, clock_.Steady())) return {};
  }
  return SaveGrants(key);
}

void StoreImpl::DropGrantsBefore(steady_clock::time_point time) {
  std::vector<std::string> old;
  {
    MutexLock lock(state_->mutex);
    old = state_->index.grants.AskedBefore(time);
    for (const std::string& key : old) state_->index.grants.RemoveBefore(key, time);
  }
  for (const std::string& key : old) {
    Result<> saved = SaveGrants(key);
    if (!saved) LogRepeated(LogLevel::kWarning, fmt::format("store: {}", saved.error().message));
  }
}

Result<> StoreImpl::SaveGrants(const std::string& key) {
  BusyScope busy = TRY(BusyScope::Take(*state_, GrantsName(key)));
  GrantBook::Copy copy;
  {
    MutexLock lock(state_->mutex);
    copy = state_->index.grants.CopyOf(key);
  }
  std::vector<Grant>& grants = copy.grants.grants;
  Result<> written = WriteGrants(key, copy.grants);
  // Rather none of them than one that was taken back.
  if (!written && copy.stale && !grants.empty()) {
    grants.clear();
    written = WriteGrants(key, copy.grants);
  }
  TRY(std::move(written));
  MutexLock lock(state_->mutex);
  state_->index.grants.MarkRecorded(key, copy);
  return {};
}

Result<> StoreImpl::WriteGrants(const std::string& key, const OriginGrants& grants) {
  const std::string path = layout_.Grants(key);
  if (!grants.grants.empty()) {
    return WriteDurably(filesystem_, path, GrantsToJson(grants, ClockPair::Of(clock_)),
                        {.written = "grant.written", .renamed = "grant.renamed"});
  }
  Result<> removed = filesystem_.Unlink(path);
  if (!removed && removed.error().code != Code::kNotFound) return removed;
  FaultPoint("grant.dropped");
  return filesystem_.SyncDirectory(layout_.GrantsDirectory());
}

}  // namespace weighhouse::store
