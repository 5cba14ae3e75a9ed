#include "cache-daemon/api/status_document.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/text.h"

namespace weighhouse::api {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
/// As people see snapshots' ids on the command line.
constexpr size_t kShownIdDigits = 12;
constexpr size_t kMostText = 1000;
/// What would take longer is not worth a number.
constexpr double kLongestSecondsLeft = 99 * 3600;

int64_t Seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

std::string ShortId(const std::string& id) { return id.substr(0, kShownIdDigits); }

std::string Text(const std::string& text) { return Printable(text, kMostText); }

Json Pods(const std::vector<Holder>& holders) {
  Json pods = Json::array();
  for (const Holder& holder : holders) {
    if (pods.size() == kMostListed) break;
    pods.push_back(
        {{"pod_namespace", Text(holder.pod_namespace)}, {"pod_name", Text(holder.pod_name)}});
  }
  return pods;
}

Json Texts(const std::vector<std::string>& texts) {
  Json array = Json::array();
  for (const std::string& text : texts) array.push_back(Text(text));
  return array;
}

std::string_view StateText(const SnapshotView& view) {
  if (view.snapshot.complete) return "complete";
  return view.filling ? "filling" : "incomplete";
}

Json SnapshotJson(const SnapshotView& view, Details details) {
  const store::Snapshot& snapshot = view.snapshot;
  Bytes present = snapshot.PresentBytes();
  double rate = 0;
  if (view.filling) {
    present = std::max(present, view.filling->bytes_done);
    rate = std::max(view.filling->bytes_per_second, 0.0);
  }
  Json json = {{"id", ShortId(snapshot.id)},
               {"state", StateText(view)},
               {"bytes", snapshot.TotalBytes()},
               {"bytes_present", present},
               {"files", snapshot.files.size()},
               {"bytes_per_second", static_cast<Bytes>(rate)},
               {"last_used_unix", Seconds(snapshot.last_used)},
               {"kept", view.kept},
               {"lease_count", view.leases.size()}};
  if (details == Details::kHidden) return json;
  json["origin"] = Text(snapshot.origin);
  json["revision"] = Text(snapshot.revision);
  json["references"] = Texts(view.references);
  json["leases"] = Pods(view.leases);
  return json;
}

/// Null: nobody knows.
Json SecondsLeft(const fill::FillProgress& progress) {
  if (progress.bytes_per_second < 1) return nullptr;
  Bytes missing = progress.bytes_total - std::min(progress.bytes_done, progress.bytes_total);
  double seconds = static_cast<double>(missing) / progress.bytes_per_second;
  if (seconds > kLongestSecondsLeft) return nullptr;
  return static_cast<uint64_t>(seconds + 1);
}

/// The snapshot, and how its fill goes.
Json FillJson(const SnapshotView& view, Details details) {
  Json json = SnapshotJson(view, details);
  const fill::FillProgress& progress = *view.filling;
  json["files_done"] = progress.files_done;
  json["connections"] = progress.connections;
  json["seconds_left"] = SecondsLeft(progress);
  json["waiting"] = !progress.waiting_for.empty();
  if (details == Details::kShown) json["waiting_for"] = Text(progress.waiting_for);
  return json;
}

/// With the names that the command line's JSON has.
Json CapacityJson(const store::SpaceSums& sums) {
  return {{"limit", sums.limit},
          {"used", sums.used},
          {"held", sums.held},
          {"reserved", sums.reserved},
          {"evictable", sums.evictable},
          {"available", sums.available},
          {"filesystem_total", sums.filesystem_total},
          {"filesystem_free", sums.filesystem_free},
          {"min_free", sums.min_free},
          {"unallocated", sums.unallocated},
          {"for_holds", sums.for_holds}};
}

Json EvictedJson(const metrics::History::View& evicted) {
  Json snapshots = Json::array();
  Json bytes = Json::array();
  for (const metrics::History::Step& step : evicted.steps) {
    snapshots.push_back(step.events);
    bytes.push_back(step.bytes);
  }
  return {{"begins_unix", Seconds(evicted.begins)},
          {"step_seconds", std::chrono::seconds(metrics::History::kStep).count()},
          {"snapshots", snapshots},
          {"bytes", bytes}};
}

Json HoldsJson(const std::vector<store::HoldRecord>& holds, Details details) {
  Json array = Json::array();
  for (const store::HoldRecord& hold : holds) {
    if (array.size() == kMostListed) break;
    Json json = {{"snapshot_id", ShortId(hold.snapshot_id)},
                 {"bytes", hold.bytes},
                 {"ends_unix", Seconds(hold.ends)}};
    if (details == Details::kShown) {
      json["volume_id"] = Text(hold.volume_id);
      json["model"] = Text(hold.model);
    }
    array.push_back(std::move(json));
  }
  return array;
}

Json KeepJson(const std::vector<KeepView>& keep, Details details) {
  Json array = Json::array();
  for (const KeepView& one : keep) {
    Json json = {{"snapshot_id", ShortId(one.snapshot_id)}, {"in_order", one.problem.empty()}};
    if (details == Details::kShown) {
      json["model"] = Text(one.model);
      json["problem"] = Text(one.problem);
    }
    array.push_back(std::move(json));
  }
  return array;
}

Json IntegrityJson(const IntegrityView& view, Details details) {
  Json json = {{"damaged_count", view.damaged.size()},
               {"quarantined_blobs", view.quarantine.blobs},
               {"quarantined_bytes", view.quarantine.bytes},
               {"blobs_verified", view.counters.blobs_verified},
               {"bytes_verified", view.counters.bytes_verified},
               {"blobs_bad", view.counters.blobs_bad},
               {"scrub_daily_bytes", view.scrub.daily_bytes},
               {"scrub_bytes_today", view.scrub.bytes_today},
               {"scrub_last_pass_unix", Seconds(view.scrub.last_pass)},
               {"scrub_failures", view.scrub.failures}};
  if (details == Details::kHidden) return json;
  std::vector<Holder> holders;
  holders.reserve(view.damaged.size());
  for (const IntegrityView::Damaged& damaged : view.damaged) holders.push_back(damaged.holder);
  json["damaged"] = Pods(holders);
  return json;
}

Json ConfigurationJson(const ConfigurationStatus& status, Details details) {
  Json json = {{"valid", status.error.empty()},
               {"applied_unix", Seconds(status.applied)},
               {"reloads", status.reloads},
               {"failures", status.failures},
               {"applies_at_restart", Texts(status.pending)},
               {"warning_count", status.warnings.size()}};
  // Both may quote the file, and it names models and namespaces.
  if (details == Details::kShown) {
    json["error"] = Text(status.error);
    json["warnings"] = Texts(status.warnings);
  }
  return json;
}

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kServing:
      return "serving";
    case Phase::kStopping:
      return "stopping";
  }
  return "";
}

Json Head(Phase phase, Details details, std::chrono::system_clock::time_point now) {
  return {{"format", kFormat},
          {"version", WEIGHHOUSE_VERSION},
          {"phase", PhaseName(phase)},
          {"now_unix", Seconds(now)},
          {"details", details == Details::kShown}};
}

/// What isn't UTF-8 becomes U+FFFD: it never throws.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// What is being filled first, then what was used last.
bool ShownBefore(const SnapshotView& one, const SnapshotView& other) {
  if (one.filling.has_value() != other.filling.has_value()) return one.filling.has_value();
  if (one.snapshot.last_used != other.snapshot.last_used)
    return one.snapshot.last_used > other.snapshot.last_used;
  return one.snapshot.id < other.snapshot.id;  // so that they stay where they are
}

}  // namespace

std::string StatusDocument(StatusView view, Details details,
                           std::chrono::system_clock::time_point now) {
  size_t listed = std::min(view.snapshots.size(), kMostListed);
  auto rest = view.snapshots.begin() + static_cast<std::ptrdiff_t>(listed);
  std::ranges::partial_sort(view.snapshots, rest, ShownBefore);
  view.snapshots.erase(rest, view.snapshots.end());
  Json snapshots = Json::array();
  Json fills = Json::array();
  for (const SnapshotView& snapshot : view.snapshots) {
    snapshots.push_back(SnapshotJson(snapshot, details));
    if (snapshot.filling) fills.push_back(FillJson(snapshot, details));
  }
  const EngineInfo& info = view.info;
  Json json = Head(Phase::kServing, details, now);
  json["started_unix"] = Seconds(info.started);
  json["write_engine"] = info.write_engine;
  json["fallback_reason"] = Text(info.fallback_reason);
  json["bytes_fetched"] = info.bytes_fetched;
  json["capacity"] = CapacityJson(view.space);
  json["fills"] = std::move(fills);
  json["snapshots"] = std::move(snapshots);
  json["snapshot_count"] = info.contents.snapshots_complete + info.contents.snapshots_incomplete;
  json["lease_count"] = info.contents.leases;
  json["hold_count"] = info.contents.holds;
  json["holds"] = HoldsJson(info.holds, details);
  json["waiting_for_space"] = info.refused_for_space;
  json["keep"] = KeepJson(info.keep, details);
  json["evicted"] = EvictedJson(view.evicted);
  json["integrity"] = IntegrityJson(info.integrity, details);
  if (view.configuration) {
    json["configuration"] = ConfigurationJson(*view.configuration, details);
  }
  return Dump(json);
}

std::string BareStatusDocument(Phase phase, const std::string& problem, Details details,
                               std::chrono::system_clock::time_point now) {
  Json json = Head(phase, details, now);
  if (!problem.empty()) json["problem"] = Text(problem);
  return Dump(json);
}

}  // namespace weighhouse::api
