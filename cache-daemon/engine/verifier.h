#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/store/store.h"

namespace weighhouse {

/// Reads blobs again, for whoever asks (a Verify call, the scrub), and sees to those that are bad:
/// the store has put them into quarantine, if it could; this says so, names the pods that still
/// read them, and has their models filled again. Counts it all. Thread-safe.
class Verifier {
 public:
  /// Lets the fills of these snapshots go on, as far as that needs nobody's credentials.
  using Refill = std::function<void(const std::vector<std::string>& snapshot_ids)>;

  /// `store` and `clock` outlive it.
  Verifier(store::Store& store, const Clock& clock, metrics::IntegrityMetrics metrics,
           Refill refill)
      : store_(store), clock_(clock), metrics_(metrics), refill_(std::move(refill)) {}

  /// Nothing if the blob is right, or here no more. `after_piece`: as of Store::VerifyBlob.
  Result<std::optional<VerifyFinding>> Check(const Digest& blob,
                                             const std::function<bool(Bytes)>& after_piece);
  /// Engine::Verify; `stop` ends it too.
  Result<VerifySums> Verify(const VerifyRequest& request, const VerifyObserver& observer,
                            std::stop_token stop);
  /// Engine::EvictQuarantine.
  Result<Bytes> DropQuarantined();
  IntegrityCounters Counters() const;
  /// All but the scrub.
  IntegrityView View() const;

 private:
  /// Names who has the bad file mounted.
  void WarnOfHolders(const std::vector<std::string>& snapshot_ids) const;

  store::Store& store_;
  const Clock& clock_;
  const metrics::IntegrityMetrics metrics_;
  const Refill refill_;
  std::atomic<uint64_t> blobs_ = 0, bytes_ = 0, bad_ = 0;
};

/// Waits so long; false if `stop` was requested before or meanwhile.
bool WaitUnlessStopped(const std::stop_token& stop, std::chrono::nanoseconds duration);

Holder HolderOf(const store::LeaseRecord& lease);

}  // namespace weighhouse
