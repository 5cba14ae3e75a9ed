#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {
namespace {

std::string ReferenceName(const std::string& fingerprint) { return "reference/" + fingerprint; }

}  // namespace

Result<> StoreImpl::RecordReference(const ReferenceRecord& record) {
  if (!IsHex(record.fingerprint, 64) || !IsHex(record.snapshot_id, 64)) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("reference '{}' to snapshot '{}': both are 64 lower-case hexadecimal digits",
                    Printable(record.fingerprint), Printable(record.snapshot_id)));
  }
  BusyScope busy = TRY(BusyScope::Take(*state_, ReferenceName(record.fingerprint)));
  std::optional<ReferenceRecord> known = FindReference(record.fingerprint);
  bool same = known && known->text == record.text && known->snapshot_id == record.snapshot_id;
  if (same) return {};
  TRY(WriteDurably(filesystem_, layout_.Reference(record.fingerprint), ReferenceToJson(record),
                   {.written = "reference.written", .renamed = "reference.renamed"}));
  MutexLock lock(state_->mutex);
  state_->index.references.Put(record);
  return {};
}

std::optional<ReferenceRecord> StoreImpl::FindReference(const std::string& fingerprint) const {
  MutexLock lock(state_->mutex);
  const ReferenceRecord* reference = state_->index.references.Find(fingerprint);
  if (reference == nullptr) return std::nullopt;
  return *reference;
}

std::vector<ReferenceRecord> StoreImpl::References() const {
  MutexLock lock(state_->mutex);
  return state_->index.references.All();
}

void StoreImpl::ForgetReferences(const std::string& snapshot_id) {
  std::vector<std::string> fingerprints;
  {
    MutexLock lock(state_->mutex);
    fingerprints = state_->index.references.Naming(snapshot_id);
  }
  for (const std::string& fingerprint : fingerprints) {
    Result<> forgotten = ForgetReference(fingerprint, snapshot_id);
    // Recovery drops a reference to a snapshot that is gone.
    if (!forgotten)
      LogRepeated(LogLevel::kWarning, fmt::format("store: {}", forgotten.error().message));
  }
}

Result<> StoreImpl::ForgetReference(const std::string& fingerprint,
                                    const std::string& snapshot_id) {
  BusyScope busy = TRY(BusyScope::Take(*state_, ReferenceName(fingerprint)));
  {
    MutexLock lock(state_->mutex);
    const ReferenceRecord* reference = state_->index.references.Find(fingerprint);
    // It names another snapshot by now.
    if (reference == nullptr || reference->snapshot_id != snapshot_id) return {};
    state_->index.references.Remove(fingerprint);
  }
  return filesystem_.Unlink(layout_.Reference(fingerprint));
}

}  // namespace weighhouse::store
