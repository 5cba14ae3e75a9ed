#include <unistd.h>

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/screen.h"
#include "cli/snapshot_order.h"
#include "cli/snapshot_text.h"

namespace weighhouse::cli {
namespace {

std::string UsageTable(const pb::ListResponse& list, const Paint& paint, size_t width) {
  Table table({{"MODEL"},
               {.title = "REVISION", .optional = true},
               {"OWN", Align::kRight},
               {"SHARED", Align::kRight},
               {.title = "STATE", .optional = true},
               {.title = "ID", .optional = true}});
  for (const pb::Snapshot& snapshot : list.snapshots()) {
    table.AddRow({ModelName(snapshot), Printable(ShortRevision(snapshot.revision())),
                  FormatBytes(snapshot.bytes_own()), FormatBytes(snapshot.bytes_shared()),
                  StateText(snapshot, paint), snapshot.id().substr(0, kShownIdDigits)});
  }
  return table.ToString(width);
}

/// Whose all bytes are that the cache uses.
struct UsageSums {
  Bytes own = 0;
  Bytes shared = 0;  ///< each blob once
  Bytes other = 0;  ///< of no snapshot yet, or no more: being fetched, left of fills, in quarantine
  Bytes used = 0;
};

UsageSums SumsOf(const pb::ListResponse& list, Bytes used) {
  UsageSums sums{.shared = list.bytes_shared(), .used = used};
  for (const pb::Snapshot& snapshot : list.snapshots()) sums.own += snapshot.bytes_own();
  // Two questions, one after the other: what came in between is no reason to go below nothing.
  sums.other = used - std::min(used, sums.own + sums.shared);
  return sums;
}

Json UsageToJson(const pb::ListResponse& list, const UsageSums& sums) {
  Json snapshots = Json::array();
  for (const pb::Snapshot& snapshot : list.snapshots()) {
    Json one = cli::ToJson(snapshot);
    one["bytes_own"] = snapshot.bytes_own();
    one["bytes_shared"] = snapshot.bytes_shared();
    snapshots.push_back(one);
  }
  return {{"snapshots", snapshots},
          {"bytes_own", sums.own},
          {"bytes_shared", sums.shared},
          {"bytes_other", sums.other},
          {"bytes_used", sums.used}};
}

size_t WidthOf(const Screen& screen) { return screen.terminal ? screen.width : std::string::npos; }

}  // namespace

Outcome List(const Options& options, Client& client) {
  Result<pb::ListResponse> list = client.List();
  if (!list) return std::unexpected(ToFailure(list.error()));
  Sort(*list, options.sort.value_or(SortBy::kUsed), options.reverse);
  if (options.output == Output::kText) {
    Screen screen = Screen::Of(STDOUT_FILENO);
    Table table = SnapshotTable(*list, std::string::npos, Ids::kShown, Paint(screen.colour));
    Print("{}", table.ToString(WidthOf(screen)));
    return kOk;
  }
  Json snapshots = Json::array();
  for (const pb::Snapshot& snapshot : list->snapshots()) snapshots.push_back(ToJson(snapshot));
  PrintJson({{"snapshots", snapshots}});
  return kOk;
}

Outcome DiskUsage(const Options& options, Client& client) {
  Result<pb::ListResponse> list = client.ListWithUsage();
  if (!list) return std::unexpected(ToFailure(list.error()));
  Result<pb::CapacityResponse> space = client.Capacity();
  if (!space) return std::unexpected(ToFailure(space.error()));
  Sort(*list, options.sort.value_or(SortBy::kSize), options.reverse);
  UsageSums sums = SumsOf(*list, space->used());
  if (options.output == Output::kJson) {
    PrintJson(UsageToJson(*list, sums));
    return kOk;
  }
  Screen screen = Screen::Of(STDOUT_FILENO);
  Print("{}\n", UsageTable(*list, Paint(screen.colour), WidthOf(screen)));
  Print("own     {}: an eviction of its model frees it\n", FormatBytes(sums.own));
  Print("shared  {}: of several models, each file once\n", FormatBytes(sums.shared));
  Print("other   {}: being fetched, left of fills, or in quarantine\n", FormatBytes(sums.other));
  Print("used    {} of {}\n", FormatBytes(sums.used), FormatBytes(space->limit()));
  return kOk;
}

}  // namespace weighhouse::cli
