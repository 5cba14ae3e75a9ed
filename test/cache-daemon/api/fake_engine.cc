#include "test/cache-daemon/api/fake_engine.h"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace weighhouse {

FakeEngine::FakeEngine() {
  info->root = "/cache";
  info->root_id = "0123";
  info->write_engine = "pwrite";
  info->fallback_reason = "io_uring_setup: Operation not permitted";
  info->uid = 1000;
  space->limit = 100 * kGiB;
  space->used = 40 * kGiB;
  space->available = 60 * kGiB;
}

void FakeEngine::Acquire(AcquireRequest request, std::weak_ptr<AcquireObserver> observer) {
  if (on_acquire) {
    if (std::shared_ptr<AcquireObserver> listening = observer.lock())
      on_acquire(request, *listening);
  }
  {
    MutexLock lock(mutex_);
    acquisitions_.push_back({std::move(request), std::move(observer)});
  }
  changed_.NotifyAll();
}

FakeEngine::Acquisition FakeEngine::WaitForAcquire(size_t number) {
  MutexLock lock(mutex_);
  while (acquisitions_.size() <= number) changed_.Wait(lock);
  return acquisitions_[number];
}

void FakeEngine::WaitForVerify() {
  MutexLock lock(mutex_);
  while (!verifying_) changed_.Wait(lock);
}

std::vector<PublishView> FakeEngine::Publishes() {
  std::vector<PublishView> publishes;
  {
    MutexLock lock(mutex_);
    looks_.push_back(std::chrono::steady_clock::now());
    publishes = publishes_;
  }
  changed_.NotifyAll();
  return publishes;
}

void FakeEngine::SetPublishes(std::vector<PublishView> publishes) {
  MutexLock lock(mutex_);
  publishes_ = std::move(publishes);
}

void FakeEngine::WaitForLook() {
  MutexLock lock(mutex_);
  size_t before = looks_.size();
  while (looks_.size() == before) changed_.Wait(lock);
}

std::chrono::steady_clock::duration FakeEngine::Looked() {
  MutexLock lock(mutex_);
  return looks_.back() - looks_.front();
}

Result<> FakeEngine::Release(const std::string& lease_id) {
  released = lease_id;
  return {};
}

Result<SyncOutcome> FakeEngine::SyncLeases(const SyncRequest& request) {
  synced = request;
  return SyncOutcome{.dropped = 2, .recreated = 1};
}

Result<std::string> FakeEngine::Prefetch(const ModelReference& model,
                                         const Credentials& credentials) {
  stat_model = model;
  stat_credentials = credentials;
  return std::string(64, 'a');
}

Result<Engine::EvictOutcome> FakeEngine::Evict(const std::string& snapshot_id,
                                               const std::string& model) {
  evicted_snapshot_id = snapshot_id;
  evicted_model = model;
  return evict_outcome;
}

Result<StatView> FakeEngine::Stat(const ModelReference& model, const Credentials& credentials) {
  stat_model = model;
  stat_credentials = credentials;
  return stat_outcome;
}

Result<VerifySums> FakeEngine::Verify(const VerifyRequest& request, const VerifyObserver& observer,
                                      std::stop_token stop) {
  verified = request;
  {
    MutexLock lock(mutex_);
    verifying_ = true;
  }
  changed_.NotifyAll();
  if (verify_progress && !observer.on_progress(*verify_progress)) {
    return Fail(Code::kCancelled, "stopped");
  }
  for (const VerifyFinding& finding : findings) {
    if (!observer.on_finding(finding)) return Fail(Code::kCancelled, "stopped");
  }
  if (verify_endlessly) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait(lock, stop, [] { return false; });
    return Fail(Code::kCancelled, "stopped");
  }
  return verify_outcome;
}

Result<> FakeEngine::Reconfigure(const EngineOptions& options) {
  {
    MutexLock lock(mutex_);
    reconfigurations_.push_back(options);
  }
  changed_.NotifyAll();
  return {};
}

Result<store::EvictedToFit> FakeEngine::EvictToFit(store::FitTo fit_to) {
  {
    MutexLock lock(mutex_);
    fits_.push_back(fit_to);
  }
  changed_.NotifyAll();
  return evicted_to_fit;
}

EngineOptions FakeEngine::WaitForReconfiguration(size_t number) {
  MutexLock lock(mutex_);
  while (reconfigurations_.size() < number) changed_.Wait(lock);
  return reconfigurations_.back();
}

store::FitTo FakeEngine::WaitForEvictToFit(size_t number) {
  MutexLock lock(mutex_);
  while (fits_.size() < number) changed_.Wait(lock);
  return fits_.back();
}

SnapshotView FakeSnapshot(const std::string& model, Bytes size, bool complete) {
  SnapshotView view;
  view.snapshot.id = Digest::Of(model).Hex();
  view.snapshot.origin = "hf+https://huggingface.co/" + model;
  view.snapshot.revision = std::string(40, 'c');
  view.snapshot.complete = complete;
  store::SnapshotFile file;
  file.listed = {.path = "model.safetensors", .size = size, .identity = {}};
  if (complete) file.blob = Digest::Of("content");
  view.snapshot.files.push_back(std::move(file));
  view.references.push_back("hf://" + model + "@main");
  return view;
}

}  // namespace weighhouse
