#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/progress_text.h"
#include "cli/state_name.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kShownIdDigits = 12;

std::chrono::seconds Since(int64_t unix_seconds) {
  auto now =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().Now().time_since_epoch());
  return std::max(now - std::chrono::seconds(unix_seconds), std::chrono::seconds(0));
}

std::chrono::seconds Until(int64_t unix_seconds) {
  auto now =
      std::chrono::duration_cast<std::chrono::seconds>(SystemClock().Now().time_since_epoch());
  return std::max(std::chrono::seconds(unix_seconds) - now, std::chrono::seconds(0));
}

/// What people know the snapshot as, without its revision.
std::string ModelName(const pb::Snapshot& snapshot) {
  if (snapshot.references().empty()) return Printable(snapshot.origin());
  const std::string& reference = snapshot.references(0);
  size_t mark = reference.rfind('@');
  return Printable(mark == std::string::npos || mark < reference.find("://")
                       ? reference
                       : reference.substr(0, mark));
}

std::string StateText(const pb::Snapshot& snapshot) {
  std::string text(StateName(snapshot.state()));
  if (snapshot.state() != pb::Snapshot::COMPLETE)
    text += fmt::format(" {} %", Percent(snapshot.bytes_present(), snapshot.bytes()));
  return snapshot.kept() ? text + ", kept" : text;
}

std::string ListTable(const pb::ListResponse& list) {
  Table table({{"MODEL"},
               {"REVISION"},
               {"SIZE", Align::kRight},
               {"STATE"},
               {"LAST USED"},
               {"LEASES", Align::kRight},
               {"ID"}});
  for (const pb::Snapshot& snapshot : list.snapshots()) {
    table.AddRow({ModelName(snapshot), ShortRevision(snapshot.revision()),
                  FormatBytes(snapshot.bytes()), StateText(snapshot),
                  FormatAge(Since(snapshot.last_used_unix())),
                  std::to_string(snapshot.leases_size()), snapshot.id().substr(0, kShownIdDigits)});
  }
  return table.ToString();
}

std::string FillText(const pb::Snapshot& snapshot) {
  Progress progress{.total = snapshot.bytes(),
                    .done = snapshot.bytes_present(),
                    .per_second = snapshot.bytes_per_second(),
                    .waiting_for = ""};
  std::string line = fmt::format(
      "{}@{}: {} ({} %)", ModelName(snapshot), ShortRevision(snapshot.revision()),
      FormatPart(progress.done, progress.total), Percent(progress.done, progress.total));
  if (progress.per_second > 0) line += ", " + FormatRate(static_cast<double>(progress.per_second));
  if (snapshot.connections() > 0) line += fmt::format(", {} connections", snapshot.connections());
  if (auto left = TimeLeft(progress)) line += fmt::format(", {} left", FormatDuration(*left));
  return line;
}

std::string HostText(const pb::HostConnections& host) {
  std::string line = fmt::format("{}: {} of {} connections", Printable(host.host()),
                                 host.connections(), host.allowance());
  if (host.bytes_per_second() > 0)
    line += ", " + FormatRate(static_cast<double>(host.bytes_per_second()));
  return line;
}

std::string ConfigurationText(const pb::ConfigurationStatus& configuration) {
  std::string text =
      fmt::format("{}, taken over {}\n",
                  configuration.file().empty() ? "no file, the defaults"
                                               : Printable(configuration.file(), 1000),
                  FormatAge(Since(configuration.applied_unix())));
  if (!configuration.error().empty()) {
    text += fmt::format("  as it is now NOT in effect, the last good one is: {}\n",
                        Printable(configuration.error(), 1000));
  }
  if (configuration.applies_at_restart_size() > 0) {
    text += fmt::format("  applies at restart: {}\n",
                        fmt::join(configuration.applies_at_restart(), ", "));
  }
  for (const std::string& warning : configuration.warnings()) {
    text += fmt::format("  warning: {}\n", Printable(warning, 1000));
  }
  return text;
}

std::string ScrubText(const pb::Integrity& integrity) {
  if (integrity.scrub_daily_bytes() == 0) return "off";
  std::string last =
      integrity.scrub_last_pass_unix() == 0
          ? "no full pass yet"
          : fmt::format("last full pass {}", FormatAge(Since(integrity.scrub_last_pass_unix())));
  return fmt::format("{}, {} of {} today, {} bad files found", last,
                     FormatBytes(integrity.scrub_bytes_today()),
                     FormatBytes(integrity.scrub_daily_bytes()), integrity.scrub_failures());
}

/// The lines on how sound the cache is.
std::string IntegrityText(const pb::Integrity& integrity) {
  std::string out = fmt::format("{:<13}{}\n", "scrub", ScrubText(integrity));
  if (integrity.quarantined_blobs() > 0) {
    out += fmt::format("{:<13}{} bad files, {}\n", "quarantine", integrity.quarantined_blobs(),
                       FormatBytes(integrity.quarantined_bytes()));
  }
  if (integrity.damaged_size() > 0) {
    out += fmt::format("{:<13}{}: replace these pods, which have damaged files mounted\n",
                       "damaged", integrity.damaged_size());
  }
  for (const pb::Integrity::Damaged& one : integrity.damaged()) {
    out +=
        fmt::format("  {}/{}: {} (snapshot {})\n", Printable(one.holder().pod_namespace()),
                    Printable(one.holder().pod_name()), Printable(one.holder().target_path(), 1000),
                    one.snapshot_id().substr(0, kShownIdDigits));
  }
  return out;
}

/// The lines on the volumes that room is kept for.
std::string HoldsText(const pb::InfoResponse& info) {
  std::string out = fmt::format("{:<13}{}\n", "holds", info.holds_size());
  for (const pb::VolumeHold& hold : info.holds()) {
    std::string model = hold.model().empty() ? "" : " of " + Printable(hold.model(), 1000);
    out += fmt::format("  volume {}: {}{}, ends in {}\n", Printable(hold.volume_id()),
                       FormatBytes(hold.bytes()), model, FormatDuration(Until(hold.ends_unix())));
  }
  return out;
}

/// The lines on what the configuration keeps.
std::string KeepText(const pb::InfoResponse& info) {
  auto complete = std::ranges::count_if(
      info.keep(), [](const pb::KeptModel& model) { return !model.snapshot_id().empty(); });
  std::string out =
      fmt::format("{:<13}{} of {} models complete\n", "keep", complete, info.keep_size());
  for (const pb::KeptModel& model : info.keep()) {
    if (model.problem().empty()) continue;
    out += fmt::format("  {}: {}: trying again\n", Printable(model.model(), 1000),
                       Printable(model.problem(), 1000));
  }
  return out;
}

std::string StatusText(const pb::InfoResponse& info, const pb::CapacityResponse& space,
                       const std::vector<pb::Snapshot>& fills) {
  std::string engine = info.write_engine();
  if (!info.fallback_reason().empty())
    engine += fmt::format(" (not io_uring: {})", Printable(info.fallback_reason()));
  std::string out;
  auto line = [&out](std::string_view name, const std::string& text) {
    out += fmt::format("{:<13}{}\n", name, text);
  };
  line("version", fmt::format("{}, running for {}", info.version(),
                              FormatDuration(Since(info.started_unix()))));
  line("root", fmt::format("{} (id {}), owned by uid {}", info.root(), info.root_id(), info.uid()));
  line("write engine", engine);
  if (info.has_configuration())
    out += fmt::format("{:<13}{}", "config", ConfigurationText(info.configuration()));
  line("limit", FormatBytes(space.limit()));
  line("used", fmt::format("{} ({} %): {} held, {} evictable", FormatBytes(space.used()),
                           space.limit() == 0 ? 0 : Percent(space.used(), space.limit()),
                           FormatBytes(space.held()), FormatBytes(space.evictable())));
  line("reserved", FormatBytes(space.reserved()));
  line("available", FormatBytes(space.available()));
  line("filesystem",
       fmt::format("{} free of {}, {} kept free", FormatBytes(space.filesystem_free()),
                   FormatBytes(space.filesystem_total()), FormatBytes(space.min_free())));
  line("fetched", fmt::format("{} since the start", FormatBytes(info.bytes_fetched())));
  out += IntegrityText(info.integrity());
  if (info.holds_size() > 0) out += HoldsText(info);
  if (info.keep_size() > 0) out += KeepText(info);
  line("fills", fills.empty() ? "none" : std::to_string(fills.size()));
  for (const pb::Snapshot& fill : fills) out += fmt::format("  {}\n", FillText(fill));
  if (info.hosts_size() > 0) line("hosts", std::to_string(info.hosts_size()));
  for (const pb::HostConnections& host : info.hosts()) out += fmt::format("  {}\n", HostText(host));
  return out;
}

std::string FileState(const pb::StatResponse::File& file) {
  if (!file.selected()) return "left out";
  return file.present() ? "here" : "to fetch";
}

std::string InspectText(const pb::StatResponse& stat) {
  Table table({{"FILE"}, {"SIZE", Align::kRight}, {"STATE"}, {"IDENTITY"}});
  size_t selected = 0, without_digest = 0;
  Bytes left_out = 0;
  for (const pb::StatResponse::File& file : stat.files()) {
    table.AddRow(
        {Printable(file.path(), 1000), FormatBytes(file.size()), FileState(file), file.identity()});
    if (file.selected()) ++selected;
    if (file.selected() && file.identity().starts_with("version:")) ++without_digest;
    if (!file.selected()) left_out += file.size();
  }
  std::string trust = without_digest == 0 ? ""
                                          : fmt::format(
                                                "no digest   of {} in the source's list: they are "
                                                "held to what IDENTITY says, and to "
                                                "a checksum where the source has one\n",
                                                without_digest);
  return fmt::format(
      "origin      {}\nrevision    {}\nsnapshot    {}\n\n{}\n"
      "selected    {} in {} of {} files\nleft out    {} by the patterns (--allow and --ignore "
      "change them)\n"
      "{}to fetch    {}\nclaim size  {} holds it\n",
      stat.origin(), stat.revision(), stat.snapshot_id(), table.ToString(),
      FormatBytes(stat.bytes_selected()), selected, stat.files_size(), FormatBytes(left_out), trust,
      FormatBytes(stat.bytes_missing()), FormatBytes(stat.recommended_claim_bytes()));
}

}  // namespace

Outcome List(const Options& options, Client& client) {
  Result<pb::ListResponse> list = client.List();
  if (!list) return std::unexpected(ToFailure(list.error()));
  if (options.output == Output::kText) {
    Print("{}", ListTable(*list));
    return kOk;
  }
  Json snapshots = Json::array();
  for (const pb::Snapshot& snapshot : list->snapshots()) snapshots.push_back(ToJson(snapshot));
  PrintJson({{"snapshots", snapshots}});
  return kOk;
}

Outcome Status(const Options& options, Client& client) {
  Result<pb::InfoResponse> info = client.Info();
  if (!info) return std::unexpected(ToFailure(info.error()));
  Result<pb::CapacityResponse> space = client.Capacity();
  if (!space) return std::unexpected(ToFailure(space.error()));
  Result<pb::ListResponse> list = client.List();
  if (!list) return std::unexpected(ToFailure(list.error()));
  std::vector<pb::Snapshot> fills;
  std::ranges::copy_if(
      list->snapshots(), std::back_inserter(fills),
      [](const pb::Snapshot& snapshot) { return snapshot.state() == pb::Snapshot::FILLING; });
  if (options.output == Output::kText) {
    Print("{}", StatusText(*info, *space, fills));
    return kOk;
  }
  Json filling = Json::array();
  for (const pb::Snapshot& fill : fills) filling.push_back(ToJson(fill));
  PrintJson({{"info", ToJson(*info)}, {"capacity", ToJson(*space)}, {"fills", filling}});
  return kOk;
}

Outcome Inspect(const Options& options, Client& client, const SecretValues& secret) {
  pb::StatRequest request;
  *request.mutable_model() = ModelOf(options);
  request.mutable_credentials()->insert(secret.begin(), secret.end());
  Result<pb::StatResponse> stat = client.Stat(request);
  if (!stat) return std::unexpected(ToFailure(stat.error()));
  if (options.output == Output::kJson) {
    PrintJson(ToJson(*stat));
  } else {
    Print("{}", InspectText(*stat));
  }
  return kOk;
}

Outcome Version(const Options& options) {
  if (options.output == Output::kJson) {
    PrintJson({{"version", WEIGHHOUSE_VERSION}});
  } else {
    Print("weighhouse {}\n", WEIGHHOUSE_VERSION);
  }
  return kOk;
}

}  // namespace weighhouse::cli
