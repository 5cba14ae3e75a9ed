#include "cli/json_text.h"

#include <cstdio>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/print.h"
#include "cli/state_name.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;

template <class Strings>
Json ToArray(const Strings& strings) {
  Json array = Json::array();
  for (const auto& text : strings) array.push_back(text);
  return array;
}

}  // namespace

Json ToJson(const pb::Holder& holder) {
  return {{"volume_id", holder.volume_id()},
          {"target_path", holder.target_path()},
          {"pod_namespace", holder.pod_namespace()},
          {"pod_name", holder.pod_name()},
          {"pod_uid", holder.pod_uid()}};
}

Json ToJson(const pb::HostConnections& host) {
  return {{"host", host.host()},
          {"connections", host.connections()},
          {"allowance", host.allowance()},
          {"bytes_per_second", host.bytes_per_second()}};
}

Json ToJson(const pb::RecentError& error) {
  return {{"time_unix", error.time_unix()},
          {"level", error.level()},
          {"message", error.message()},
          {"times", error.times()}};
}

Json ToJson(const pb::ConfigurationStatus& configuration) {
  return {{"file", configuration.file()},
          {"applied_unix", configuration.applied_unix()},
          {"reloads", configuration.reloads()},
          {"failures", configuration.failures()},
          {"error", configuration.error()},
          {"applies_at_restart", ToArray(configuration.applies_at_restart())},
          {"warnings", ToArray(configuration.warnings())}};
}

Json ToJson(const pb::Snapshot& snapshot) {
  Json leases = Json::array();
  for (const pb::Holder& holder : snapshot.leases()) leases.push_back(ToJson(holder));
  return {{"id", snapshot.id()},
          {"origin", snapshot.origin()},
          {"revision", snapshot.revision()},
          {"references", ToArray(snapshot.references())},
          {"bytes", snapshot.bytes()},
          {"bytes_present", snapshot.bytes_present()},
          {"files", snapshot.files()},
          {"state", StateName(snapshot.state())},
          {"last_used_unix", snapshot.last_used_unix()},
          {"leases", leases},
          {"kept", snapshot.kept()},
          {"bytes_per_second", snapshot.bytes_per_second()}};
}

Json ToJson(const pb::CapacityResponse& capacity) {
  return {{"limit", capacity.limit()},
          {"used", capacity.used()},
          {"held", capacity.held()},
          {"reserved", capacity.reserved()},
          {"evictable", capacity.evictable()},
          {"available", capacity.available()},
          {"filesystem_total", capacity.filesystem_total()},
          {"filesystem_free", capacity.filesystem_free()},
          {"min_free", capacity.min_free()},
          {"unallocated", capacity.unallocated()},
          {"for_holds", capacity.for_holds()}};
}

Json ToJson(const pb::KeptModel& model) {
  return {
      {"model", model.model()}, {"snapshot_id", model.snapshot_id()}, {"problem", model.problem()}};
}

Json ToJson(const pb::Integrity& integrity) {
  Json damaged = Json::array();
  for (const pb::Integrity::Damaged& one : integrity.damaged()) {
    damaged.push_back({{"holder", ToJson(one.holder())},
                       {"snapshot_id", one.snapshot_id()},
                       {"tree", one.tree()}});
  }
  return {{"damaged", damaged},
          {"quarantined_blobs", integrity.quarantined_blobs()},
          {"quarantined_bytes", integrity.quarantined_bytes()},
          {"blobs_verified", integrity.blobs_verified()},
          {"bytes_verified", integrity.bytes_verified()},
          {"blobs_bad", integrity.blobs_bad()},
          {"scrub_daily_bytes", integrity.scrub_daily_bytes()},
          {"scrub_bytes_today", integrity.scrub_bytes_today()},
          {"scrub_last_pass_unix", integrity.scrub_last_pass_unix()},
          {"scrub_failures", integrity.scrub_failures()}};
}

Json ToJson(const pb::VolumeHold& hold) {
  return {{"volume_id", hold.volume_id()},
          {"snapshot_id", hold.snapshot_id()},
          {"model", hold.model()},
          {"bytes", hold.bytes()},
          {"ends_unix", hold.ends_unix()}};
}

Json ToJson(const pb::InfoResponse& info) {
  Json holds = Json::array();
  for (const pb::VolumeHold& hold : info.holds()) holds.push_back(ToJson(hold));
  Json keep = Json::array();
  for (const pb::KeptModel& model : info.keep()) keep.push_back(ToJson(model));
  Json hosts = Json::array();
  for (const pb::HostConnections& host : info.hosts()) hosts.push_back(ToJson(host));
  Json errors = Json::array();
  for (const pb::RecentError& error : info.recent_errors()) errors.push_back(ToJson(error));
  Json json = {{"version", info.version()},
               {"root", info.root()},
               {"root_device", info.root_device()},
               {"root_inode", info.root_inode()},
               {"root_id", info.root_id()},
               {"write_engine", info.write_engine()},
               {"fallback_reason", info.fallback_reason()},
               {"started_unix", info.started_unix()},
               {"fills_active", info.fills_active()},
               {"bytes_fetched", info.bytes_fetched()},
               {"uid", info.uid()},
               {"integrity", ToJson(info.integrity())},
               {"holds", holds},
               {"volumes", info.volumes()},
               {"keep", keep},
               {"hosts", hosts},
               {"recent_errors", errors}};
  if (info.has_configuration()) json["configuration"] = ToJson(info.configuration());
  return json;
}

Json ToJson(const pb::StatResponse& stat) {
  Json files = Json::array();
  for (const pb::StatResponse::File& file : stat.files()) {
    files.push_back({{"path", file.path()},
                     {"size", file.size()},
                     {"identity", file.identity()},
                     {"present", file.present()},
                     {"selected", file.selected()}});
  }
  return {{"origin", stat.origin()},
          {"revision", stat.revision()},
          {"snapshot_id", stat.snapshot_id()},
          {"files", files},
          {"bytes_selected", stat.bytes_selected()},
          {"bytes_missing", stat.bytes_missing()},
          {"recommended_claim_bytes", stat.recommended_claim_bytes()}};
}

Json ToJson(const pb::VerifyFinding& finding) {
  return {{"sha256", finding.sha256()},
          {"found", finding.found()},
          {"paths", ToArray(finding.paths())}};
}

Json ErrorToJson(const Error& error) {
  return {{"code", CodeName(error.code)}, {"message", error.message}};
}

void PrintJson(const Json& json) {
  // What isn't UTF-8 becomes U+FFFD: printing never throws.
  Print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace weighhouse::cli
