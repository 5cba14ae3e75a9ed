#include "cache-daemon/api/gauges.h"

#include <algorithm>

namespace weighhouse::api {
namespace {

using metrics::GaugeFamily;

template <class Number>
GaugeFamily Gauge(std::string name, std::string help, Number value) {
  return {.name = std::move(name),
          .help = std::move(help),
          .samples = {{.values = {}, .value = static_cast<double>(value)}}};
}

/// A gauge for each of some states.
template <class Number>
GaugeFamily ByState(std::string name, std::string help,
                    std::initializer_list<std::pair<const char*, Number>> values) {
  GaugeFamily family{.name = std::move(name), .help = std::move(help), .labels = {"state"}};
  for (const auto& [state, value] : values) {
    family.samples.push_back({.values = {state}, .value = static_cast<double>(value)});
  }
  return family;
}

GaugeFamily WriteEngine(const EngineInfo& info) {
  return {
      .name = "weighhouse_write_engine_info",
      .help =
          "How files are written; fallback=\"true\" where io_uring was wanted but can't be "
          "had (weighhouse status says why).",
      .labels = {"engine", "fallback"},
      .samples = {{.values = {info.write_engine, info.fallback_reason.empty() ? "false" : "true"},
                   .value = 1}}};
}

}  // namespace

std::vector<GaugeFamily> EngineGauges(const EngineInfo& info) {
  size_t in_use = 0;
  size_t allowed = 0;
  for (const fill::HostConnections& host : info.hosts) {
    in_use += host.connections;
    allowed += host.allowance;
  }
  auto problems =
      std::ranges::count_if(info.keep, [](const KeepView& keep) { return !keep.problem.empty(); });
  const store::Contents& contents = info.contents;
  std::chrono::duration<double> started = info.started.time_since_epoch();
  return {
      Gauge("weighhouse_start_time_seconds", "When the daemon started, in Unix time.",
            started.count()),
      WriteEngine(info),
      Gauge("weighhouse_fills_active", "Fills under way.", info.fills_active),
      ByState<size_t>("weighhouse_fill_connections",
                      "Connections to the hosts that fills fetch from: those in use, and those "
                      "that were found to be worth it.",
                      {{"in_use", in_use}, {"allowed", allowed}}),
      ByState<size_t>("weighhouse_snapshots", "Models that the cache has, whole or in part.",
                      {{"complete", contents.snapshots_complete},
                       {"incomplete", contents.snapshots_incomplete}}),
      Gauge("weighhouse_kept_snapshots",
            "Of them, those that the configuration keeps; they are never evicted.",
            contents.snapshots_kept),
      Gauge("weighhouse_keep_problems",
            "Models to keep that are not what their source has now (weighhouse status says why).",
            problems),
      Gauge("weighhouse_blobs", "Verified files that the cache has.", contents.blobs),
      Gauge("weighhouse_leases", "Publishes that hold a model; what is held is never evicted.",
            contents.leases),
      Gauge("weighhouse_holds", "Volumes that room is kept for until their first publish.",
            contents.holds),
      Gauge("weighhouse_volumes", "Volumes that were created for claims here and not deleted.",
            contents.volumes),
      Gauge("weighhouse_publishes_refused_for_space",
            "Publishes that were refused in the last minutes, and not let in since, because there "
            "is no room for their model: their pods wait.",
            info.refused_for_space),
      Gauge("weighhouse_quarantined_blobs", "Damaged files that are kept aside.",
            contents.quarantined_blobs),
      Gauge("weighhouse_quarantined_bytes", "What damaged files that are kept aside take.",
            contents.quarantined_bytes),
      Gauge("weighhouse_damaged_leases",
            "Pods that read a damaged file until they are replaced (weighhouse status names them).",
            info.integrity.damaged.size()),
      Gauge("weighhouse_scrub_daily_bytes", "What the scrub may read a day; 0: it is off.",
            info.integrity.scrub.daily_bytes),
      Gauge(
          "weighhouse_scrub_last_pass_timestamp_seconds",
          "When the scrub last had read everything, in Unix time; 0: not yet.",
          std::chrono::duration<double>(info.integrity.scrub.last_pass.time_since_epoch()).count()),
  };
}

std::vector<GaugeFamily> SpaceGauges(const store::SpaceSums& sums) {
  return {
      Gauge("weighhouse_cache_limit_bytes", "What the cache may use.", sums.limit),
      Gauge("weighhouse_cache_used_bytes", "What the cache uses, as allocated on the disk.",
            sums.used),
      Gauge("weighhouse_cache_held_bytes", "Of the used bytes, those that may not be evicted.",
            sums.held),
      Gauge("weighhouse_cache_reserved_bytes",
            "Promised to fills under way, what they have already written included, and by holds.",
            sums.reserved),
      Gauge("weighhouse_cache_evictable_bytes",
            "Of the used bytes, those that go when a fill needs the space.", sums.evictable),
      Gauge("weighhouse_cache_available_bytes", "What one more fill may need, at most.",
            sums.available),
      Gauge("weighhouse_filesystem_size_bytes", "The size of the cache's filesystem.",
            sums.filesystem_total),
      Gauge("weighhouse_filesystem_free_bytes", "Free on the cache's filesystem, for the daemon.",
            sums.filesystem_free),
      Gauge("weighhouse_filesystem_min_free_bytes", "What the cache leaves free on its filesystem.",
            sums.min_free),
  };
}

std::vector<GaugeFamily> ConfigurationGauges(const ConfigurationStatus& status) {
  std::chrono::duration<double> applied = status.applied.time_since_epoch();
  return {
      Gauge("weighhouse_configuration_valid",
            "0 where the configuration file was rejected, and an earlier one is in effect "
            "(weighhouse status says why).",
            status.error.empty() ? 1 : 0),
      Gauge("weighhouse_configuration_applied_timestamp_seconds",
            "When the configuration in effect was taken over, in Unix time.", applied.count()),
  };
}

GaugeFamily BuildGauge() {
  return {.name = "weighhouse_build_info",
          .help = "Which program this is.",
          .labels = {"version"},
          .samples = {{.values = {WEIGHHOUSE_VERSION}, .value = 1}}};
}

}  // namespace weighhouse::api
