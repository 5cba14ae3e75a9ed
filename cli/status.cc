#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/snapshot_text.h"
#include "cli/status_text.h"

namespace weighhouse::cli {
namespace {

std::string ProgramText(const pb::InfoResponse& info, const Paint& paint) {
  std::string engine = info.write_engine();
  if (!info.fallback_reason().empty())
    engine += fmt::format(" (not io_uring: {})", Printable(info.fallback_reason()));
  return StatusLine(paint, "version",
                    fmt::format("{}, running for {}", info.version(),
                                FormatDuration(Since(info.started_unix())))) +
         StatusLine(paint, "root",
                    fmt::format("{} (id {}), owned by uid {}", Printable(info.root(), 1000),
                                info.root_id(), info.uid())) +
         StatusLine(paint, "write engine", engine);
}

Json SnapshotsToJson(const std::vector<pb::Snapshot>& snapshots) {
  Json list = Json::array();
  for (const pb::Snapshot& snapshot : snapshots) list.push_back(cli::ToJson(snapshot));
  return list;
}

}  // namespace

std::string StatusLine(const Paint& paint, std::string_view name, std::string_view text) {
  return fmt::format("{} {}\n", paint(Colour::kStrong, fmt::format("{:<12}", name)), text);
}

std::string StatusText(const StatusView& view, const Screen& screen) {
  const Paint paint(screen.colour);
  const pb::InfoResponse& info = view.info;
  std::string out = ProgramText(info, paint);
  if (info.has_configuration()) out += ConfigurationText(info.configuration(), paint);
  out += SpaceText(view.space, screen);
  out += FillsText(view, screen);
  out += ModelsText(view, screen);
  out += LeasesText(view, screen);
  out += ErrorsText(info, paint);
  out += KeepText(info, paint);
  out += HoldsText(info, paint);
  out += IntegrityText(info.integrity(), paint);
  out += StatusLine(paint, "fetched",
                    fmt::format("{} since the start", FormatBytes(info.bytes_fetched())));
  return out + HostsText(info, paint);
}

Result<StatusView> AskStatus(Client& client) {
  StatusView view;
  view.info = TRY(client.Info());
  view.space = TRY(client.Capacity());
  view.list = TRY(client.List());
  return view;
}

Outcome Status(const Options& options, Client& client) {
  Result<StatusView> view = AskStatus(client);
  if (!view) return std::unexpected(ToFailure(view.error()));
  if (options.output == Output::kText) {
    Print("{}", StatusText(*view, Screen::Of(STDOUT_FILENO)));
    return kOk;
  }
  const auto& all = view->list.snapshots();
  PrintJson({{"info", ToJson(view->info)},
             {"capacity", ToJson(view->space)},
             {"fills", SnapshotsToJson(FillsOf(view->list))},
             {"snapshots", SnapshotsToJson({all.begin(), all.end()})}});
  return kOk;
}

}  // namespace weighhouse::cli
