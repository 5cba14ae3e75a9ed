#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

std::string FileState(const pb::StatResponse::File& file) {
  if (!file.selected()) return "left out";
  return file.present() ? "here" : "to fetch";
}

std::string InspectText(const pb::StatResponse& stat) {
  Table table({{"FILE"}, {"SIZE", Align::kRight}, {"STATE"}, {"IDENTITY"}});
  size_t selected = 0, without_digest = 0;
  Bytes left_out = 0;
  for (const pb::StatResponse::File& file : stat.files()) {
    table.AddRow({Printable(file.path(), 1000), FormatBytes(file.size()), FileState(file),
                  Printable(file.identity(), 1000)});
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
      Printable(stat.origin(), 1000), Printable(stat.revision()), stat.snapshot_id(),
      table.ToString(), FormatBytes(stat.bytes_selected()), selected, stat.files_size(),
      FormatBytes(left_out), trust, FormatBytes(stat.bytes_missing()),
      FormatBytes(stat.recommended_claim_bytes()));
}

}  // namespace

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

}  // namespace weighhouse::cli
