#include "cli/progress_text.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "base/model.h"
#include "base/text.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kShortDigits = 12;
constexpr size_t kLeastBar = 10;
constexpr size_t kMostBar = 40;
constexpr auto kLongestTimeLeft = std::chrono::hours(99);

std::string Bar(unsigned percent, size_t width) {
  size_t full = width * percent / 100;
  std::string bar(full, '=');
  if (full < width) bar += '>';
  bar.resize(width, ' ');
  return "[" + bar + "]";
}

std::string RateAndTimeLeft(const Progress& progress) {
  if (!progress.waiting_for.empty()) return progress.waiting_for;
  if (progress.per_second == 0) return "";
  std::string text = FormatRate(static_cast<double>(progress.per_second));
  std::optional<std::chrono::seconds> left = TimeLeft(progress);
  if (left)
    text += fmt::format(", {} left", FormatDuration(std::max(*left, std::chrono::seconds(1))));
  return text;
}

}  // namespace

unsigned Percent(Bytes done, Bytes total) {
  if (total == 0 || done >= total) return 100;
  return static_cast<unsigned>(static_cast<double>(done) * 100 / static_cast<double>(total));
}

std::optional<std::chrono::seconds> TimeLeft(const Progress& progress) {
  if (progress.per_second == 0) return std::nullopt;
  Bytes missing = progress.total - std::min(progress.done, progress.total);
  Bytes seconds = (missing + progress.per_second - 1) / progress.per_second;
  if (seconds > static_cast<Bytes>(std::chrono::seconds(kLongestTimeLeft).count()))
    return std::nullopt;
  return std::chrono::seconds(seconds);
}

std::string FormatPart(Bytes done, Bytes total) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double divisor = 1;
  size_t unit = 0;
  while (static_cast<double>(total) / divisor >= 1023.95 && unit + 1 < kUnits.size()) {
    divisor *= 1024;
    ++unit;
  }
  int decimals = unit == 0 ? 0 : 1;
  return fmt::format("{:.{}f}/{:.{}f} {}", static_cast<double>(done) / divisor, decimals,
                     static_cast<double>(total) / divisor, decimals, kUnits[unit]);
}

std::string ProgressBar(const std::string& name, const Progress& progress, size_t width) {
  unsigned percent = Percent(progress.done, progress.total);
  std::string head = fmt::format("{:3} %", percent);
  std::string bytes = FormatPart(progress.done, progress.total);
  std::string tail = RateAndTimeLeft(progress);
  std::string essential = fmt::format("{}  {}{}{}", head, bytes, tail.empty() ? "" : "  ", tail);
  size_t left = width - std::min(width, DisplayWidth(essential));
  std::string line = essential;
  constexpr size_t kBrackets = 4;  // "[", "]" and the two spaces before
  if (left >= kLeastBar + kBrackets) {
    // The name may take what a bar of the least length leaves.
    size_t for_name = left - kLeastBar - kBrackets;
    bool named = !name.empty() && DisplayWidth(name) + 2 <= for_name;
    size_t bar = std::min(kMostBar, left - kBrackets - (named ? DisplayWidth(name) + 2 : 0));
    line = fmt::format("{}{}{}  {}", named ? name + "  " : "", head, "  " + Bar(percent, bar),
                       essential.substr(head.size() + 2));
  }
  return std::string(CutToWidth(line, width));
}

std::string ProgressLine(const std::string& name, const Progress& progress) {
  std::vector<std::string> parts;
  parts.push_back(fmt::format("{} ({} %)", FormatPart(progress.done, progress.total),
                              Percent(progress.done, progress.total)));
  std::string rate = RateAndTimeLeft(progress);
  if (!rate.empty()) parts.push_back(rate);
  parts.push_back(fmt::format("{} of {} files", progress.files_done, progress.files_total));
  return fmt::format("{}: {}", name, Join(parts, ", "));
}

std::string ReadyLine(const Pulled& pulled) {
  double seconds = std::max(std::chrono::duration<double>(pulled.took).count(), 0.001);
  std::string how = "already here";
  if (pulled.bytes_fetched > 0) {
    how = FormatRate(static_cast<double>(pulled.bytes_fetched) / seconds);
    if (pulled.bytes_fetched < pulled.bytes)
      how = fmt::format("{} fetched, {}", FormatBytes(pulled.bytes_fetched), how);
  }
  return fmt::format("ready: {} ({}): {} in {} ({}); {} file{}; tree: {}", pulled.model,
                     ShortRevision(pulled.revision), FormatBytes(pulled.bytes),
                     FormatDuration(pulled.took), how, pulled.files, pulled.files == 1 ? "" : "s",
                     pulled.tree);
}

std::string ShortRevision(const std::string& revision) {
  return IsHex(revision, revision.size()) && revision.size() >= 40
             ? revision.substr(0, kShortDigits)
             : revision;
}

std::string FormatAge(std::chrono::seconds age) {
  int64_t minutes = age.count() / 60;
  if (minutes < 1) return "just now";
  if (minutes < 60) return fmt::format("{} min ago", minutes);
  if (minutes < 48 * 60) return fmt::format("{} h ago", minutes / 60);
  return fmt::format("{} d ago", minutes / 60 / 24);
}

}  // namespace weighhouse::cli
