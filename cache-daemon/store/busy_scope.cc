#include "cache-daemon/store/busy_scope.h"

#include <chrono>

#include <fmt/format.h>

namespace weighhouse::store {
namespace {

// Longer than any operation but the copying of large files into a tree.
constexpr std::chrono::seconds kPatience{60};

}  // namespace

Result<BusyScope> BusyScope::Take(StoreState& state, std::string name) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  MutexLock lock(state.mutex);
  while (state.index.busy.Contains(name)) {
    if (state.changed.WaitUntil(lock, deadline) || !state.index.busy.Contains(name)) continue;
    return Fail(Code::kAborted, fmt::format("{} is in another operation, try again", name));
  }
  state.index.busy.Add(name);
  return BusyScope(&state, std::move(name));
}

BusyScope::~BusyScope() {
  if (state_ == nullptr) return;
  {
    MutexLock lock(state_->mutex);
    state_->index.busy.Remove(name_);
  }
  state_->changed.NotifyAll();
}

Result<BlobPin> BlobPin::Take(StoreState& state, const Digest& sha256, Bytes size) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  MutexLock lock(state.mutex);
  while (state.index.blobs.IsLeaving(sha256)) {
    if (state.changed.WaitUntil(lock, deadline) || !state.index.blobs.IsLeaving(sha256)) continue;
    return Fail(Code::kAborted, fmt::format("blob {} is being removed, try again", sha256.Hex()));
  }
  state.index.blobs.Pin(sha256, size);
  return BlobPin(state, sha256);
}

BlobPin::~BlobPin() {
  if (state_ == nullptr) return;
  {
    MutexLock lock(state_->mutex);
    state_->index.blobs.Unpin(sha256_);
  }
  state_->changed.NotifyAll();
}

}  // namespace weighhouse::store
