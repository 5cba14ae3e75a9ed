#include <algorithm>
#include <ranges>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/snapshot_text.h"
#include "cli/status_text.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;

constexpr int kMostErrors = 5;
/// Of every other list. `status --output json` has all.
constexpr size_t kMostOf = 10;
constexpr std::string_view kHasAll = "weighhouse status --output json";
constexpr size_t kMaxText = 1000;

size_t CountIn(const auto& list) { return static_cast<size_t>(list.size()); }

std::string HostText(const pb::HostConnections& host) {
  std::string line = fmt::format("{}: {} of {} connections", Printable(host.host()),
                                 host.connections(), host.allowance());
  if (host.bytes_per_second() > 0)
    line += ", " + FormatRate(static_cast<double>(host.bytes_per_second()));
  return line;
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

}  // namespace

std::string ConfigurationText(const pb::ConfigurationStatus& configuration, const Paint& paint) {
  std::string text = StatusLine(
      paint, "config",
      fmt::format("{}, taken over {}",
                  configuration.file().empty() ? "no file, the defaults"
                                               : Printable(configuration.file(), kMaxText),
                  FormatAge(Since(configuration.applied_unix()))));
  if (!configuration.error().empty()) {
    text += fmt::format(
        "  {}\n",
        paint(Colour::kBad, fmt::format("as it is now NOT in effect, the last good one is: {}",
                                        Printable(configuration.error(), kMaxText))));
  }
  if (configuration.applies_at_restart_size() > 0) {
    text += fmt::format("  applies at restart: {}\n",
                        fmt::join(configuration.applies_at_restart(), ", "));
  }
  const auto& warnings = configuration.warnings();
  for (const std::string& warning : warnings | std::views::take(kMostOf)) {
    text += fmt::format("  {}\n", paint(Colour::kBusy, "warning: " + Printable(warning, kMaxText)));
  }
  return text + MoreText(CountIn(warnings), kMostOf, kHasAll);
}

std::string IntegrityText(const pb::Integrity& integrity, const Paint& paint) {
  std::string out = StatusLine(paint, "scrub", ScrubText(integrity));
  if (integrity.quarantined_blobs() > 0) {
    out += StatusLine(paint, "quarantine",
                      fmt::format("{} bad files, {}", integrity.quarantined_blobs(),
                                  FormatBytes(integrity.quarantined_bytes())));
  }
  if (integrity.damaged_size() > 0) {
    out += StatusLine(
        paint, "damaged",
        paint(Colour::kBad, fmt::format("{}: replace these pods, which have damaged files mounted",
                                        integrity.damaged_size())));
  }
  for (const pb::Integrity::Damaged& one : integrity.damaged() | std::views::take(kMostOf)) {
    out += fmt::format("  {}/{}: {} (snapshot {})\n", Printable(one.holder().pod_namespace()),
                       Printable(one.holder().pod_name()),
                       Printable(one.holder().target_path(), kMaxText),
                       one.snapshot_id().substr(0, kShownIdDigits));
  }
  return out + MoreText(CountIn(integrity.damaged()), kMostOf, kHasAll);
}

std::string HoldsText(const pb::InfoResponse& info, const Paint& paint) {
  if (info.holds_size() == 0) return "";
  std::string out = StatusLine(paint, "holds", std::to_string(info.holds_size()));
  for (const pb::VolumeHold& hold : info.holds() | std::views::take(kMostOf)) {
    std::string model = hold.model().empty() ? "" : " of " + Printable(hold.model(), kMaxText);
    out += fmt::format("  volume {}: {}{}, ends in {}\n", Printable(hold.volume_id()),
                       FormatBytes(hold.bytes()), model, FormatDuration(Until(hold.ends_unix())));
  }
  return out + MoreText(CountIn(info.holds()), kMostOf, kHasAll);
}

std::string KeepText(const pb::InfoResponse& info, const Paint& paint) {
  if (info.keep_size() == 0) return "";
  auto complete = std::ranges::count_if(
      info.keep(), [](const pb::KeptModel& model) { return !model.snapshot_id().empty(); });
  std::string out = StatusLine(paint, "keep",
                               fmt::format("{} of {} models complete", complete, info.keep_size()));
  size_t troubled = 0;
  for (const pb::KeptModel& model : info.keep()) {
    if (model.problem().empty() || ++troubled > kMostOf) continue;
    out += fmt::format("  {}: {}: trying again\n", Printable(model.model(), kMaxText),
                       Printable(model.problem(), kMaxText));
  }
  return out + MoreText(troubled, kMostOf, kHasAll);
}

std::string HostsText(const pb::InfoResponse& info, const Paint& paint) {
  if (info.hosts_size() == 0) return "";
  std::string out = StatusLine(paint, "hosts", std::to_string(info.hosts_size()));
  for (const pb::HostConnections& host : info.hosts() | std::views::take(kMostOf))
    out += fmt::format("  {}\n", HostText(host));
  return out + MoreText(CountIn(info.hosts()), kMostOf, kHasAll);
}

std::string ErrorsText(const pb::InfoResponse& info, const Paint& paint) {
  int all = info.recent_errors_size();
  if (all == 0) return "";
  std::string out = StatusLine(paint, "went wrong", fmt::format("{} lately", all));
  for (int i = all - 1; i >= std::max(0, all - kMostErrors); --i) {
    const pb::RecentError& error = info.recent_errors(i);
    Colour colour = error.level() == "error" ? Colour::kBad : Colour::kBusy;
    std::string times = error.times() > 1 ? fmt::format(" ({} times)", error.times()) : "";
    out += fmt::format("  {}, {}: {}{}\n", FormatAge(Since(error.time_unix())),
                       paint(colour, Printable(error.level())),
                       Printable(error.message(), kMaxText), times);
  }
  return out;
}

}  // namespace weighhouse::cli
