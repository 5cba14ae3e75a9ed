#include <algorithm>
#include <ranges>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/snapshot_text.h"
#include "cli/status_text.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;

constexpr size_t kMostSpaceBar = 50;
constexpr size_t kNameColumns = 13;  // what a part's name takes

/// How many of `columns` show `part` of `whole`; not all, where a part is left over.
size_t ColumnsOf(Bytes part, Bytes whole, size_t columns) {
  if (whole == 0) return 0;
  double share = static_cast<double>(part) / static_cast<double>(whole);
  return static_cast<size_t>(std::min(share, 1.0) * static_cast<double>(columns));
}

std::string FillText(const pb::Snapshot& snapshot) {
  Progress progress = ProgressOf(snapshot);
  std::string line = fmt::format("{}: {} ({} %)", NameAtRevision(snapshot),
                                 FormatPart(progress.done, progress.total),
                                 Percent(progress.done, progress.total));
  if (progress.per_second > 0) line += ", " + FormatRate(static_cast<double>(progress.per_second));
  if (snapshot.connections() > 0) line += fmt::format(", {} connections", snapshot.connections());
  if (auto left = TimeLeft(progress)) line += fmt::format(", {} left", FormatDuration(*left));
  return line;
}

/// A bar, and where both don't fit into a line, the name above.
std::string FillBar(const pb::Snapshot& snapshot, size_t width) {
  constexpr size_t kIndent = 2;
  std::string name = NameAtRevision(snapshot);
  Progress progress = ProgressOf(snapshot);
  size_t left = width - std::min(width, kIndent);
  std::string line = ProgressBar(name, progress, left);
  if (line.starts_with(name)) return fmt::format("  {}\n", line);
  return fmt::format("  {}\n  {}\n", CutToWidth(name, left), line);
}

std::string PodText(const pb::Holder& holder) {
  if (holder.pod_name().empty()) return Printable(holder.target_path(), 1000);
  return fmt::format("{}/{}", Printable(holder.pod_namespace()), Printable(holder.pod_name()));
}

std::string Indented(const std::string& lines, size_t width) {
  std::string out;
  for (size_t begin = 0; begin < lines.size();) {
    size_t end = std::min(lines.find('\n', begin), lines.size());
    std::string_view line = std::string_view(lines).substr(begin, end - begin);
    out += fmt::format("  {}\n", CutLine(line, width));
    begin = end + 1;
  }
  return out;
}

size_t WidthWithin(const Screen& screen) {
  constexpr size_t kIndent = 2;
  return screen.terminal ? screen.width - std::min(screen.width, kIndent) : std::string::npos;
}

/// How many models, leases and fills each are shown: fewer on a low terminal, so that what stands
/// below them is on it too.
size_t MostRows(const Screen& screen) {
  constexpr size_t kLeast = 3, kMost = 10, kOtherLines = 16;
  if (!screen.terminal) return kMost;
  return std::clamp((screen.height - std::min(screen.height, kOtherLines)) / 2, kLeast, kMost);
}

}  // namespace

std::string MoreText(size_t all, size_t shown, std::string_view command) {
  return all > shown ? fmt::format("  and {} more: {}\n", all - shown, command) : "";
}

std::vector<pb::Snapshot> FillsOf(const pb::ListResponse& list) {
  std::vector<pb::Snapshot> fills;
  std::ranges::copy_if(
      list.snapshots(), std::back_inserter(fills),
      [](const pb::Snapshot& snapshot) { return snapshot.state() == pb::Snapshot::FILLING; });
  return fills;
}

std::string CapacityBar(const pb::CapacityResponse& space, size_t width, const Paint& paint) {
  constexpr size_t kBrackets = 2;
  size_t columns = width - std::min(width, kBrackets);
  Bytes whole = std::max(space.limit(), space.used() + space.unallocated());
  size_t held = ColumnsOf(space.held(), whole, columns);
  size_t used = std::max(held, ColumnsOf(space.used(), whole, columns));
  size_t promised = std::max(used, ColumnsOf(space.used() + space.unallocated(), whole, columns));
  return "[" + paint(Colour::kBusy, std::string(held, '#')) +
         paint(Colour::kGood, std::string(used - held, '=')) +
         paint(Colour::kFaint, std::string(promised - used, '+')) +
         std::string(columns - promised, ' ') + "]";
}

std::string SpaceText(const pb::CapacityResponse& space, const Screen& screen) {
  const Paint paint(screen.colour);
  constexpr size_t kPercent = 7;  // ", 100 %"
  unsigned percent = space.limit() == 0 ? 0 : Percent(space.used(), space.limit());
  size_t bar =
      std::min(kMostSpaceBar, screen.width - std::min(screen.width, kNameColumns + kPercent));
  return StatusLine(paint, "space",
                    fmt::format("{} {} %", CapacityBar(space, bar, paint), percent)) +
         StatusLine(paint, "limit", FormatBytes(space.limit())) +
         StatusLine(
             paint, "used",
             fmt::format("{} ({} %): {} held (#), {} evictable (=)", FormatBytes(space.used()),
                         percent, FormatBytes(space.held()), FormatBytes(space.evictable()))) +
         StatusLine(paint, "reserved",
                    fmt::format("{}, {} of it not written yet (+)", FormatBytes(space.reserved()),
                                FormatBytes(space.unallocated()))) +
         StatusLine(paint, "available", FormatBytes(space.available())) +
         StatusLine(
             paint, "filesystem",
             fmt::format("{} free of {}, {} kept free", FormatBytes(space.filesystem_free()),
                         FormatBytes(space.filesystem_total()), FormatBytes(space.min_free())));
}

std::string FillsText(const StatusView& view, const Screen& screen) {
  std::vector<pb::Snapshot> fills = FillsOf(view.list);
  std::string out = StatusLine(Paint(screen.colour), "fills",
                               fills.empty() ? "none" : std::to_string(fills.size()));
  size_t most = MostRows(screen);
  for (const pb::Snapshot& fill : fills | std::views::take(most)) {
    out += screen.terminal ? FillBar(fill, screen.width) : fmt::format("  {}\n", FillText(fill));
  }
  return out + MoreText(fills.size(), most, "weighhouse ls --sort state");
}

std::string ModelsText(const StatusView& view, const Screen& screen) {
  const Paint paint(screen.colour);
  const auto& snapshots = view.list.snapshots();
  auto complete = std::ranges::count_if(snapshots, [](const pb::Snapshot& snapshot) {
    return snapshot.state() == pb::Snapshot::COMPLETE;
  });
  auto all = static_cast<size_t>(snapshots.size());
  if (all == 0) return StatusLine(paint, "models", "none");
  size_t most = MostRows(screen);
  Table table = SnapshotTable(view.list, most, Ids::kLeftOut, paint);
  return StatusLine(paint, "models", fmt::format("{}, {} complete", all, complete)) +
         Indented(table.ToString(WidthWithin(screen)), WidthWithin(screen)) +
         MoreText(all, most, "weighhouse ls");
}

std::string LeasesText(const StatusView& view, const Screen& screen) {
  size_t all = 0, most = MostRows(screen);
  Table table({{"POD"}, {"MODEL"}});
  for (const pb::Snapshot& snapshot : view.list.snapshots()) {
    for (const pb::Holder& holder : snapshot.leases()) {
      if (++all <= most) table.AddRow({PodText(holder), NameAtRevision(snapshot)});
    }
  }
  const Paint paint(screen.colour);
  if (all == 0) return StatusLine(paint, "leases", "none");
  return StatusLine(paint, "leases", std::to_string(all)) +
         Indented(table.ToString(WidthWithin(screen)), WidthWithin(screen)) +
         MoreText(all, most, "weighhouse ls --output json");
}

}  // namespace weighhouse::cli
