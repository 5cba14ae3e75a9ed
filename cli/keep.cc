#include "cli/keep.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/config/document.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kMaxShown = 1000;  // bytes of a model or a problem

std::string StateOf(const pb::KeptModel& model) {
  if (!model.problem().empty()) return Printable(model.problem(), kMaxShown) + ": trying again";
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
    table.AddRow({Printable(model.model(), kMaxShown), StateOf(model)});
  Print("{}", table.ToString());
}

}  // namespace

Result<std::string> ChangedConfiguration(const KeepOptions& keep, const pb::InfoResponse& info,
                                         KeepEdit edit, const std::vector<std::string>& models) {
  std::string file = keep.file.empty() ? info.configuration().file() : keep.file;
  if (file.empty()) {
    return Fail(Code::kFailedPrecondition,
                "the daemon has no configuration file: name the one to change with --config FILE");
  }
  Result<std::string> text = config::ReadDocument(file);
  if (text) return EditKeep(*text, file, edit, models);
  if (!keep.file.empty()) return std::unexpected(text.error());
  return Fail(text.error().code,
              fmt::format("{}: so the daemon calls it; name it as it is called here, or a copy, "
                          "with --config FILE",
                          text.error().message));
}

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
  KeepEdit edit = options.keep.remove ? KeepEdit::kRemove : KeepEdit::kAdd;
  Result<std::string> changed = ChangedConfiguration(options.keep, info, edit, options.models);
  if (!changed) return std::unexpected(ToFailure(changed.error()));
  if (options.output == Output::kJson) {
    PrintJson(ConfigMapPatchJson(*changed));
  } else {
    Print("{}", ConfigMapPatch(*changed));
  }
  return kOk;
}

}  // namespace weighhouse::cli
