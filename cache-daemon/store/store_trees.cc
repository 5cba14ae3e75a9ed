#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/store_impl.h"
#include "cache-daemon/store/tree_builder.h"

namespace weighhouse::store {
namespace {

/// The name of the snapshot's tree, if no withdrawn one has it.
std::string BaseName(const Snapshot& snapshot, Layout layout, const std::string& ref_name) {
  if (layout == Layout::kFiles) return RootLayout::FilesTree(snapshot.id);
  return RootLayout::HubTree(snapshot.id, snapshot.repository, snapshot.revision, ref_name);
}

std::string RefNameFor(Layout layout, const std::string& requested_revision) {
  return layout == Layout::kHub ? RefName(requested_revision) : "";
}

/// The snapshot's tree if it is made already; an error if it may not be handed out at this moment.
Result<std::optional<std::string>> FindMadeTree(const Index& index, const std::string& id,
                                                Layout layout, const std::string& ref_name) {
  const SnapshotEntry* entry = index.catalog.Find(id);
  if (entry == nullptr) return Fail(Code::kNotFound, fmt::format("snapshot {} is not known", id));
  if (entry->leaving) {
    return Fail(Code::kAborted, fmt::format("snapshot {} is being evicted, try again", id));
  }
  if (!index.IsIntact(entry->snapshot)) {
    if (entry->snapshot.complete) {
      return Fail(
          Code::kAborted,
          fmt::format("snapshot {}: a blob is just being put into quarantine, try again", id));
    }
    return Fail(Code::kFailedPrecondition,
                fmt::format("snapshot {} is not complete: {} of {} are here", id,
                            FormatBytes(entry->snapshot.PresentBytes()),
                            FormatBytes(entry->snapshot.TotalBytes())));
  }
  return index.trees.FindReady(id, layout, ref_name);
}

}  // namespace

Result<std::string> StoreImpl::EnsureTree(const std::string& id, Layout layout,
                                          const std::string& requested_revision) {
  std::string ref_name = RefNameFor(layout, requested_revision);
  {
    MutexLock lock(state_->mutex);
    std::optional<std::string> tree = TRY(FindMadeTree(state_->index, id, layout, ref_name));
    if (tree) return *tree;
  }
  auto made = MakeTree(id, layout, ref_name);
  if (made.has_value() || made.error().code != Code::kNotFound) return made;
  if (!FindSnapshot(id)) return made;
  LoseMissingBlobs(id);
  return Fail(Code::kAborted,
              fmt::format("snapshot {}: a blob is gone from the disk, so it must be "
                          "filled again: {}",
                          id, made.error().message));
}

Result<std::string> StoreImpl::MakeTree(const std::string& id, Layout layout,
                                        const std::string& ref_name) {
  BusyScope busy = TRY(BusyScope::Take(*state_, id));
  std::string path;
  SnapshotRecord record;
  TreePlan plan;
  {
    MutexLock lock(state_->mutex);
    std::optional<std::string> tree = TRY(FindMadeTree(state_->index, id, layout, ref_name));
    if (tree) return *tree;
    Index& index = state_->index;
    const Snapshot& snapshot = index.catalog.Find(id)->snapshot;
    plan = TRY(PlanTree(snapshot, layout, ref_name));
    path = index.trees.FreeName(BaseName(snapshot, layout, ref_name));
    index.trees.Add(path, {.snapshot_id = id, .layout = layout, .requested_revision = ref_name});
    record = index.RecordOf(id);
  }
  Result<Bytes> built = RecordAndBuild(record, plan, path);
  bool intact = false;
  {
    MutexLock lock(state_->mutex);
    intact = built.has_value() && state_->index.IsIntact(record.snapshot);
    if (intact) {
      state_->index.trees.MarkReady(path, *built);
      record = state_->index.RecordOf(id);
    } else {
      state_->index.trees.Remove(path);
    }
  }
  if (!built.has_value()) return std::unexpected(std::move(built).error());
  if (!intact) {
    TRY(trash_.Move(path));
    trash_.Empty();
    return Fail(Code::kAborted, fmt::format("snapshot {}: a blob proved bad, try again", id));
  }
  if (*built > 0) TRY(WriteRecord(record));
  return path;
}

Result<Bytes> StoreImpl::RecordAndBuild(const SnapshotRecord& record, const TreePlan& plan,
                                        const std::string& path) {
  // In this order: recovery removes a tree that no record names.
  TRY(WriteRecord(record));
  return BuildTree(filesystem_, layout_, plan, path);
}

void StoreImpl::LoseMissingBlobs(const std::string& snapshot_id) {
  std::optional<Snapshot> snapshot = FindSnapshot(snapshot_id);
  if (!snapshot) return;
  for (const SnapshotFile& file : snapshot->files) {
    if (!file.blob) continue;
    uint64_t version = 0;
    {
      MutexLock lock(state_->mutex);
      version = state_->index.blobs.Version(*file.blob);
    }
    auto status = filesystem_.Status(layout_.Blob(*file.blob));
    if (version == 0 || status.has_value() || status.error().code != Code::kNotFound) continue;
    auto lost = Quarantine(*file.blob, version, "missing");
    if (!lost.has_value() && lost.error().code == Code::kNotFound) continue;  // it changed since
    std::string stays = lost.has_value() ? lost->stays : lost.error().message;
    if (!stays.empty())
      LogRepeated(LogLevel::kError, fmt::format("store: blob {}: {}", file.blob->Hex(), stays));
  }
}

void StoreImpl::DiscardUnusedTrees(const std::string& snapshot_id) {
  std::vector<std::string> unused;
  {
    MutexLock lock(state_->mutex);
    Index& index = state_->index;
    for (const std::string& tree : index.trees.OfSnapshot(snapshot_id)) {
      bool withdrawn = index.trees.Find(tree)->state == TreeBook::State::kWithdrawn;
      if (!withdrawn || index.leases.HoldsTree(tree, snapshot_id)) continue;
      index.trees.SetLeaving(tree, true);
      unused.push_back(tree);
    }
  }
  for (const std::string& tree : unused) {
    auto moved = trash_.Move(tree);
    if (!moved.has_value())
      LogRepeated(LogLevel::kWarning,
                  fmt::format("store: a withdrawn tree stays: {}", moved.error().message));
    MutexLock lock(state_->mutex);
    if (moved.has_value()) {
      state_->index.trees.Remove(tree);
    } else {
      state_->index.trees.SetLeaving(tree, false);
    }
  }
}

std::optional<std::string> StoreImpl::FindTree(const std::string& id, Layout layout,
                                               const std::string& requested_revision) const {
  std::string ref_name = RefNameFor(layout, requested_revision);
  MutexLock lock(state_->mutex);
  return FindMadeTree(state_->index, id, layout, ref_name).value_or(std::nullopt);
}

Result<std::string> StoreImpl::SnapshotOfTree(const std::string& tree) const {
  MutexLock lock(state_->mutex);
  const TreeBook::Entry* entry = state_->index.trees.Find(tree);
  bool shown =
      entry != nullptr && !entry->snapshot_id.empty() &&
      (entry->state == TreeBook::State::kReady || entry->state == TreeBook::State::kWithdrawn);
  if (shown) return entry->snapshot_id;
  return Fail(Code::kNotFound, fmt::format("'{}' is not the tree of a snapshot", Printable(tree)));
}

}  // namespace weighhouse::store
