#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/engine/engine.h"

namespace weighhouse {

/// An engine that a test plays by hand: it remembers what it was asked, and answers what was set.
/// Thread-safe where it says so; what it answers is set before it is served.
class FakeEngine final : public Engine {
 public:
  FakeEngine();

  void Acquire(AcquireRequest request, std::weak_ptr<AcquireObserver> observer) override;
  Result<> Release(const std::string& lease_id) override;
  Result<SyncOutcome> SyncLeases(const SyncRequest& request) override;
  Result<std::string> Prefetch(const ModelReference& model,
                               const Credentials& credentials) override;
  Result<store::VolumeRecord> CreateVolume(const VolumeRequest& request) override {
    created = request;
    return volume;
  }
  Result<> DeleteVolume(const std::string& volume_id) override {
    deleted = volume_id;
    if (on_delete) on_delete();
    return {};
  }
  Result<store::VolumeRecord> GetVolume(const std::string&) const override { return volume; }
  Result<ModelFit> FitOf(const FitRequest& request) override {
    fit_request = request;
    return fit;
  }
  Result<EvictOutcome> Evict(const std::string& snapshot_id, const std::string& model) override;
  Result<Bytes> EvictQuarantine() override { return quarantine_freed; }
  std::vector<SnapshotView> List() const override { return snapshots; }
  std::vector<PublishView> Publishes() override EXCLUDES(mutex_);
  store::Usage Usage() const override { return usage; }
  Result<StatView> Stat(const ModelReference& model, const Credentials& credentials) override;
  Result<VerifySums> Verify(const VerifyRequest& request, const VerifyObserver& observer,
                            std::stop_token stop) override;
  Result<store::SpaceSums> Capacity() const override { return space; }
  Result<EngineInfo> Info() const override { return info; }
  Result<> Reconfigure(const EngineOptions& options) override EXCLUDES(mutex_);
  Result<store::EvictedToFit> EvictToFit(store::FitTo fit_to) override EXCLUDES(mutex_);

  /// Waits until Reconfigure was called so often, and returns what the last call gave. Thread-safe.
  EngineOptions WaitForReconfiguration(size_t number) EXCLUDES(mutex_);
  /// Waits until EvictToFit was called so often, and returns to what it was asked last.
  /// Thread-safe.
  store::FitTo WaitForEvictToFit(size_t number) EXCLUDES(mutex_);
  Result<> CheckAnswers(std::chrono::milliseconds) override { return answers; }

  /// The n-th Acquire so far; waits until it has come. Thread-safe.
  struct Acquisition {
    AcquireRequest request;
    std::weak_ptr<AcquireObserver> observer;
  };
  Acquisition WaitForAcquire(size_t number) EXCLUDES(mutex_);
  /// What Publishes answers from now on. Thread-safe.
  void SetPublishes(std::vector<PublishView> publishes) EXCLUDES(mutex_);
  /// Waits until Publishes is asked once more. Thread-safe.
  void WaitForLook() EXCLUDES(mutex_);
  /// How long ago, at the last time that Publishes was asked, the first was. Thread-safe.
  std::chrono::steady_clock::duration Looked() EXCLUDES(mutex_);
  /// Waits until a Verify is under way. Thread-safe.
  void WaitForVerify() EXCLUDES(mutex_);

  /// What each Acquire does at once, on the caller's thread; unset: nothing, the test plays the
  /// observer.
  std::function<void(const AcquireRequest&, AcquireObserver&)> on_acquire;
  /// What each DeleteVolume does, on the worker's thread.
  std::function<void()> on_delete;
  Result<EvictOutcome> evict_outcome;
  Result<StatView> stat_outcome;
  Result<store::VolumeRecord> volume;
  Result<ModelFit> fit;
  VolumeRequest created;
  FitRequest fit_request;
  std::string deleted;
  Result<Bytes> quarantine_freed = 0;
  std::vector<VerifyFinding> findings;
  std::optional<VerifyProgress> verify_progress;
  Result<VerifySums> verify_outcome;
  /// Verify goes on until it is stopped.
  bool verify_endlessly = false;
  std::vector<SnapshotView> snapshots;
  store::Usage usage;
  Result<store::SpaceSums> space;
  Result<EngineInfo> info;
  store::EvictedToFit evicted_to_fit;
  Result<> answers;

  // What came, for the thread that made the call.
  std::string released;
  std::optional<SyncRequest> synced;
  std::string evicted_snapshot_id, evicted_model;
  std::optional<VerifyRequest> verified;
  std::optional<ModelReference> stat_model;
  Credentials stat_credentials;

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  std::vector<Acquisition> acquisitions_ GUARDED_BY(mutex_);
  bool verifying_ GUARDED_BY(mutex_) = false;
  std::vector<PublishView> publishes_ GUARDED_BY(mutex_);
  std::vector<std::chrono::steady_clock::time_point> looks_ GUARDED_BY(mutex_);
  std::vector<EngineOptions> reconfigurations_ GUARDED_BY(mutex_);
  std::vector<store::FitTo> fits_ GUARDED_BY(mutex_);
};

/// A snapshot with one file of `size` bytes, present if `complete`.
SnapshotView FakeSnapshot(const std::string& model, Bytes size, bool complete);

}  // namespace weighhouse
