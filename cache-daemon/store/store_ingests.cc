#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/ingest.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {

Result<std::unique_ptr<Ingest>> StoreImpl::StartIngest(const std::string& id,
                                                       const FileIdentity& identity, Bytes size) {
  if (!IsHex(id, 64)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not an ingest's id: give 64 lower-case hexadecimal digits",
                            Printable(id)));
  }
  bool left = false;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    if (!index.ledger.BeginIngest(id)) {
      return Fail(Code::kAlreadyExists, fmt::format("ingest {} is under way", id));
    }
    if (const IdleIngests::Entry* idle = index.idle_ingests.Find(id)) {
      left = true;
      index.ledger.SetIngestBytes(id, idle->allocated);
      index.idle_ingests.Remove(id);
    }
  }
  IngestContent content{.identity = identity, .size = size};
  if (left) {
    auto resumed = StagedIngest::Resume(*this, id, content);
    if (resumed.has_value()) return std::move(resumed).value();
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: ingest {} begins anew: {}", id, resumed.error().message));
    MutexLock lock(state_->mutex);
    state_->index.ledger.SetIngestBytes(id, 0);
  }
  auto created = StagedIngest::Create(*this, id, content);
  if (created.has_value()) return std::move(created).value();
  auto removed = io::RemoveTree(filesystem_, layout_.Ingest(id));
  if (!removed.has_value()) {
    LogRepeated(LogLevel::kWarning, fmt::format("store: an ingest stays until the next start: {}",
                                                removed.error().message));
  }
  MutexLock lock(state_->mutex);
  state_->index.ledger.EndIngest(id);
  return std::unexpected(std::move(created).error());
}

Result<Bytes> StoreImpl::GiveUpIngest(const std::string& id, GiveUp why,
                                      const std::string& for_snapshot,
                                      const std::set<std::string>& its_ingests) {
  Bytes allocated = 0;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    const IdleIngests::Entry* idle = index.idle_ingests.Find(id);
    // Taken into use, or going already, since it was chosen.
    if (idle == nullptr || idle->leaving || index.IsPromised(id, idle->content)) return Bytes{0};
    if (why == GiveUp::kForSpace) {
      bool kept = index.IsKept(idle->content, for_snapshot);
      if (kept || index.SumsOfHolds(for_snapshot, its_ingests).ingests.contains(id))
        return Bytes{0};
    }
    allocated = idle->allocated;
    // Until it is gone nobody begins one of its name. It allocates nothing of what is promised.
    CHECK(index.ledger.BeginIngest(id));
    index.idle_ingests.SetLeaving(id, true);
  }
  Result<> removed = io::RemoveTree(filesystem_, layout_.Ingest(id));
  MutexLock lock(state_->mutex);
  Index& index = state_->index;
  index.ledger.EndIngest(id);
  if (removed) {
    index.idle_ingests.Remove(id);
    return allocated;
  }
  index.idle_ingests.SetLeaving(id, false);
  return std::unexpected(std::move(removed).error().Within("give up an ingest"));
}

Bytes StoreImpl::SweepIngests() {
  std::vector<std::string> unwanted;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    for (const auto& [id, idle] : index.idle_ingests.entries()) {
      if (!index.IsWanted(idle.content)) unwanted.push_back(id);
    }
  }
  Bytes freed = 0;
  for (const std::string& id : unwanted) {
    Result<Bytes> given_up = GiveUpIngest(id, GiveUp::kUnwanted);
    if (given_up) freed += *given_up;
    if (!given_up)
      LogRepeated(LogLevel::kWarning, fmt::format("store: {}", given_up.error().message));
  }
  return freed;
}

}  // namespace weighhouse::store
