#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/config/document.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/keep_patch.h"
#include "cli/print.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

std::string StateOf(const pb::KeptModel& model) {
  if (!model.problem().empty()) return Printable(model.problem(), 1000) + ": trying again";
  return model.snapshot_id().empty() ? "on its way" : "complete";
}

void PrintList(const pb::InfoResponse& info, Output output) {
  if (output == Output::kJson) {
    Json keep = Json::array();
    for (const pb::KeptModel& model : info.keep()) keep.push_back(ToJson(model));
    return PrintJson({{"keep", keep}});
  }
  Table table({{"MODEL"}, {"STATE"}});
  for (const pb::KeptModel& model : info.keep())
    table.AddRow({Printable(model.model(), 1000), StateOf(model)});
  Print("{}", table.ToString());
}

/// The file that the daemon reads, or the one that was named.
Result<std::string> ConfigFileOf(const Options& options, const pb::InfoResponse& info) {
  if (!options.keep.file.empty()) return options.keep.file;
  if (!info.configuration().file().empty()) return info.configuration().file();
  return Fail(Code::kFailedPrecondition,
              "the daemon has no configuration file: name the one to change with --config FILE");
}

Result<std::string> Changed(const Options& options, const std::string& file) {
  std::string text = TRY(config::ReadDocument(file));
  KeepEdit edit = options.keep.remove ? KeepEdit::kRemove : KeepEdit::kAdd;
  std::string changed = TRY(EditKeep(text, file, edit, options.models));
  return changed;
}

}  // namespace

Outcome Keep(const Options& options) {
  pb::InfoResponse info;
  // With a file that is named and nothing to ask, no daemon is needed: for a repository of
  // manifests.
  if (options.keep.list || options.keep.file.empty()) {
    auto client = Client::Connect(options);
    if (!client) return std::unexpected(client.error());
    Result<pb::InfoResponse> asked = (*client)->Info();
    if (!asked) return std::unexpected(ToFailure(asked.error()));
    info = *std::move(asked);
  }
  if (options.keep.list) {
    PrintList(info, options.output);
    return kOk;
  }
  Result<std::string> file = ConfigFileOf(options, info);
  if (!file) return std::unexpected(ToFailure(file.error()));
  Result<std::string> changed = Changed(options, *file);
  if (!changed) return std::unexpected(ToFailure(changed.error()));
  if (options.output == Output::kJson) {
    PrintJson({{"data", {{"config.yaml", *changed}}}});
  } else {
    Print("{}", ConfigMapPatch(*changed));
  }
  return kOk;
}

}  // namespace weighhouse::cli
