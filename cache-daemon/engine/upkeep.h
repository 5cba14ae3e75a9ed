#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/fair_pool.h"
#include "base/worker_pool.h"
#include "cache-daemon/engine/acquisition.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/engine/fill_resumer.h"
#include "cache-daemon/engine/keeper.h"
#include "cache-daemon/engine/scrubber.h"
#include "cache-daemon/engine/verifier.h"

namespace weighhouse {

/// What an engine does for its cache without being asked: it keeps the models that it is to keep,
/// goes on with interrupted fills, reads blobs again, and has bad ones fetched again. Thread-safe.
class Upkeep {
 public:
  /// Of `options`: keep, resume_fills, scrub, verify_rate and metrics. What `parts` refers to, and
  /// `transport`, outlive it.
  Upkeep(const EngineParts& parts, source::Transport& transport, const EngineOptions& options);
  /// Begins with the fills and the scrub; what is to be kept is held when it returns. Once.
  void Start();
  /// Returns once the scrub and what sources were asked have ended; the engine's stop was
  /// requested.
  void AwaitEnd();

  /// As Keeper::Keep.
  void Keep(const std::vector<ModelReference>& models) { keeper_->Keep(models); }
  std::vector<KeepView> ViewOfKept() const { return keeper_->View(); }

  /// Engine::Verify, Engine::EvictQuarantine.
  Result<VerifySums> Verify(const VerifyRequest& request, const VerifyObserver& observer,
                            std::stop_token stop);
  Result<Bytes> EvictQuarantine() { return verifier_.DropQuarantined(); }
  IntegrityView View() const;

 private:
  void StartScrub();
  void Refill(const std::vector<std::string>& snapshot_ids);

  const EngineParts parts_;
  WorkerPool keep_asker_{"keep", 1};
  FairPool resume_askers_{"resume", {.threads = 3, .most_for_one = 1}};
  const std::shared_ptr<FillResumer> resumer_;  // shared: its jobs keep it
  const std::vector<ModelReference> keep_at_start_;
  const bool resume_fills_;
  const ScrubOptions scrub_;
  const Bytes verify_rate_;
  const std::shared_ptr<Keeper> keeper_;  // likewise
  Verifier verifier_;
  std::unique_ptr<Scrubber> scrubber_;  // null: off
  std::jthread scrub_thread_;
};

}  // namespace weighhouse
