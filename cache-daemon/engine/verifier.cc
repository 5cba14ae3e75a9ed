#include "cache-daemon/engine/verifier.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/engine/read_pace.h"

namespace weighhouse {
namespace {

constexpr std::chrono::milliseconds kBetweenReports{200};

/// The snapshots in "<snapshot id>/<path>".
std::vector<std::string> SnapshotsOf(const std::vector<std::string>& paths) {
  std::set<std::string> ids;
  for (const std::string& path : paths) ids.insert(path.substr(0, path.find('/')));
  return {ids.begin(), ids.end()};
}

Error Stopped() { return {.code = Code::kCancelled, .message = "the verification was stopped"}; }

/// Hears of each piece of a Verify: holds the rate, and says how far it is.
class Reader {
 public:
  Reader(VerifyProgress progress, ReadPace pace, const VerifyObserver& observer, const Clock& clock)
      : progress_(progress), pace_(std::move(pace)), observer_(observer), clock_(clock) {}

  bool AfterPiece(Bytes bytes) {
    progress_.bytes += bytes;
    return pace_.After(bytes) && Report();
  }
  void AfterBlob() { ++progress_.blobs; }
  VerifySums Sums() const { return {.blobs = progress_.blobs, .bytes = progress_.bytes}; }

 private:
  bool Report() {
    auto now = clock_.Steady();
    if (!observer_.on_progress || now < next_report_) return true;
    next_report_ = now + kBetweenReports;
    return observer_.on_progress(progress_);
  }

  VerifyProgress progress_;
  ReadPace pace_;
  const VerifyObserver& observer_;
  const Clock& clock_;
  std::chrono::steady_clock::time_point next_report_;
};

}  // namespace

bool WaitUnlessStopped(const std::stop_token& stop, std::chrono::nanoseconds duration) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  return !changed.wait_for(lock, stop, duration, [&stop] { return stop.stop_requested(); });
}

Holder HolderOf(const store::LeaseRecord& lease) {
  return {.volume_id = lease.volume_id,
          .target_path = lease.target_path,
          .pod_namespace = lease.pod_namespace,
          .pod_name = lease.pod_name,
          .pod_uid = lease.pod_uid};
}

Result<std::optional<VerifyFinding>> Verifier::Check(
    const Digest& blob, const std::function<bool(Bytes)>& after_piece) {
  auto count = [&](Bytes bytes) {
    bytes_ += bytes;
    metrics_.OnRead(bytes);
    return after_piece(bytes);
  };
  Result<std::optional<store::BadBlob>> checked = store_.VerifyBlob(blob, count);
  // Evicted, or found bad by somebody else, since it was listed.
  if (!checked && checked.error().code == Code::kNotFound) return std::nullopt;
  if (!checked) return std::unexpected(std::move(checked).error());
  ++blobs_;
  metrics_.OnVerified();
  if (!*checked) return std::nullopt;
  ++bad_;
  store::BadBlob& bad = **checked;
  if (!bad.stays.empty()) {
    bad.found +=
        fmt::format("; it is served still, because it can't be put into quarantine: {}", bad.stays);
  }
  LogRepeated(LogLevel::kError,
              fmt::format("blob {} is damaged: {}; {}: {}", blob.Hex(), bad.found,
                          bad.stays.empty() ? "incomplete without it" : "it is in",
                          fmt::join(bad.paths, ", ")),
              {{"blob", blob.Hex()}});
  if (bad.stays.empty()) {
    std::vector<std::string> snapshots = SnapshotsOf(bad.paths);
    WarnOfHolders(snapshots);
    refill_(snapshots);
  }
  return VerifyFinding{.blob = blob, .found = std::move(bad.found), .paths = std::move(bad.paths)};
}

void Verifier::WarnOfHolders(const std::vector<std::string>& snapshot_ids) const {
  for (const store::LeaseRecord& lease : store_.DamagedLeases()) {
    if (std::ranges::find(snapshot_ids, lease.snapshot_id) == snapshot_ids.end()) continue;
    LogRepeated(
        LogLevel::kError,
        fmt::format(
            "pod {}/{} has the damaged file mounted at {} and reads it until it is replaced",
            lease.pod_namespace, lease.pod_name, lease.target_path));
  }
}

Result<VerifySums> Verifier::Verify(const VerifyRequest& request, const VerifyObserver& observer,
                                    std::stop_token stop) {
  if (!request.snapshot_id.empty() && !store_.FindSnapshot(request.snapshot_id)) {
    return Fail(Code::kNotFound,
                fmt::format("snapshot {} is not in the cache", request.snapshot_id));
  }
  std::vector<store::Store::BlobUse> blobs = store_.Blobs(request.snapshot_id);
  VerifyProgress progress{.blobs_total = blobs.size()};
  for (const auto& blob : blobs) progress.bytes_total += blob.size;
  auto wait = [&stop](auto duration) { return WaitUnlessStopped(stop, duration); };
  Reader reader(progress, ReadPace(request.bytes_per_second.value_or(0), clock_, wait), observer,
                clock_);
  size_t bad = 0;
  for (const store::Store::BlobUse& blob : blobs) {
    if (stop.stop_requested()) return std::unexpected(Stopped());
    std::optional<VerifyFinding> finding =
        TRY(Check(blob.sha256, [&reader](Bytes bytes) { return reader.AfterPiece(bytes); }));
    reader.AfterBlob();
    if (!finding) continue;
    ++bad;
    if (!observer.on_finding(*finding)) return std::unexpected(Stopped());
  }
  VerifySums sums = reader.Sums();
  sums.bad = bad;
  return sums;
}

Result<Bytes> Verifier::DropQuarantined() {
  store::QuarantineSums before = store_.Quarantined();
  Bytes freed = store_.DropQuarantined();
  if (freed > 0 || before.blobs == 0) return freed;
  return Fail(
      Code::kFailedPrecondition,
      fmt::format("{} in quarantine stay while pods have damaged files mounted: 'weighhouse "
                  "status' names them",
                  FormatBytes(before.bytes)));
}

IntegrityView Verifier::View() const {
  IntegrityView view{.quarantine = store_.Quarantined(), .counters = Counters()};
  for (const store::LeaseRecord& lease : store_.DamagedLeases()) {
    view.damaged.push_back(
        {.holder = HolderOf(lease), .snapshot_id = lease.snapshot_id, .tree = lease.tree});
  }
  return view;
}

IntegrityCounters Verifier::Counters() const {
  return {.blobs_verified = blobs_, .bytes_verified = bytes_, .blobs_bad = bad_};
}

}  // namespace weighhouse
