#include "base/text.h"
#include "cache-daemon/api/translate.h"

namespace weighhouse::api {

pb::VerifyUpdate FindingUpdate(const VerifyFinding& finding) {
  pb::VerifyUpdate update;
  pb::VerifyFinding& out = *update.mutable_finding();
  out.set_sha256(finding.blob.Hex());
  out.set_found(Printable(finding.found));
  for (const std::string& path : finding.paths) out.add_paths(path);
  return update;
}

pb::VerifyUpdate ProgressUpdate(const VerifyProgress& progress) {
  pb::VerifyUpdate update;
  pb::VerifyProgress& out = *update.mutable_progress();
  out.set_blobs(progress.blobs);
  out.set_blobs_total(progress.blobs_total);
  out.set_bytes(progress.bytes);
  out.set_bytes_total(progress.bytes_total);
  return update;
}

pb::VerifyUpdate SumsUpdate(const VerifySums& sums) {
  pb::VerifyUpdate update;
  pb::VerifySums& out = *update.mutable_sums();
  out.set_blobs(sums.blobs);
  out.set_bytes(sums.bytes);
  out.set_bad(sums.bad);
  return update;
}

pb::Integrity FromIntegrity(const IntegrityView& view) {
  pb::Integrity out;
  for (const IntegrityView::Damaged& damaged : view.damaged) {
    pb::Integrity::Damaged& added = *out.add_damaged();
    *added.mutable_holder() = FromHolder(damaged.holder);
    added.set_snapshot_id(damaged.snapshot_id);
    added.set_tree(damaged.tree);
  }
  out.set_quarantined_blobs(view.quarantine.blobs);
  out.set_quarantined_bytes(view.quarantine.bytes);
  out.set_blobs_verified(view.counters.blobs_verified);
  out.set_bytes_verified(view.counters.bytes_verified);
  out.set_blobs_bad(view.counters.blobs_bad);
  out.set_scrub_daily_bytes(view.scrub.daily_bytes);
  out.set_scrub_bytes_today(view.scrub.bytes_today);
  out.set_scrub_last_pass_unix(
      std::chrono::floor<std::chrono::seconds>(view.scrub.last_pass).time_since_epoch().count());
  out.set_scrub_failures(view.scrub.failures);
  return out;
}

}  // namespace weighhouse::api
