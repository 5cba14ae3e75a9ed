#include "cli/snapshot_text.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/state_name.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;

std::chrono::seconds UnixNow() {
  return std::chrono::duration_cast<std::chrono::seconds>(SystemClock().Now().time_since_epoch());
}

Colour ColourOf(pb::Snapshot::State state) {
  if (state == pb::Snapshot::COMPLETE) return Colour::kGood;
  return state == pb::Snapshot::FILLING ? Colour::kBusy : Colour::kBad;
}

}  // namespace

std::chrono::seconds Since(int64_t unix_seconds) {
  return std::max(UnixNow() - std::chrono::seconds(unix_seconds), std::chrono::seconds(0));
}

std::chrono::seconds Until(int64_t unix_seconds) {
  return std::max(std::chrono::seconds(unix_seconds) - UnixNow(), std::chrono::seconds(0));
}

std::string ModelName(const pb::Snapshot& snapshot) {
  if (snapshot.references().empty()) return Printable(snapshot.origin());
  const std::string& reference = snapshot.references(0);
  size_t mark = reference.rfind('@');
  return Printable(mark == std::string::npos || mark < reference.find("://")
                       ? reference
                       : reference.substr(0, mark));
}

std::string NameAtRevision(const pb::Snapshot& snapshot) {
  return fmt::format("{}@{}", ModelName(snapshot), Printable(ShortRevision(snapshot.revision())));
}

std::string StateText(const pb::Snapshot& snapshot, const Paint& paint) {
  std::string text(StateName(snapshot.state()));
  if (snapshot.state() != pb::Snapshot::COMPLETE)
    text += fmt::format(" {} %", Percent(snapshot.bytes_present(), snapshot.bytes()));
  return paint(ColourOf(snapshot.state()), text) + (snapshot.kept() ? ", kept" : "");
}

Progress ProgressOf(const pb::Snapshot& snapshot) {
  return {.total = snapshot.bytes(),
          .done = snapshot.bytes_present(),
          .per_second = snapshot.bytes_per_second(),
          .waiting_for = ""};
}

Table SnapshotTable(const pb::ListResponse& list, size_t most, Ids ids, const Paint& paint) {
  std::vector<Column> columns = {{"MODEL"},
                                 {.title = "REVISION", .optional = true},
                                 {"SIZE", Align::kRight},
                                 {"STATE"},
                                 {.title = "LAST USED", .optional = true},
                                 {.title = "LEASES", .align = Align::kRight, .optional = true}};
  if (ids == Ids::kShown) columns.push_back({.title = "ID", .optional = true});
  Table table(std::move(columns));
  for (const pb::Snapshot& snapshot : list.snapshots()) {
    if (most-- == 0) break;
    std::vector<std::string> row = {ModelName(snapshot),
                                    Printable(ShortRevision(snapshot.revision())),
                                    FormatBytes(snapshot.bytes()),
                                    StateText(snapshot, paint),
                                    FormatAge(Since(snapshot.last_used_unix())),
                                    std::to_string(snapshot.leases_size())};
    if (ids == Ids::kShown) row.push_back(snapshot.id().substr(0, kShownIdDigits));
    table.AddRow(std::move(row));
  }
  return table;
}

}  // namespace weighhouse::cli
