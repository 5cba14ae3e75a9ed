#include <string>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/config/document.h"
#include "cache-daemon/config/reference_page.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"

namespace weighhouse::cli {
namespace {

Result<config::Document> ReadFile(const std::string& path) {
  std::string text = TRY(config::ReadDocument(path));
  return config::ParseDocument(text, path);
}

std::string_view EffectName(const config::ConfigKey& key) {
  return key.takes_effect == config::TakesEffect::kAtOnce ? "at once" : "restart";
}

}  // namespace

Outcome ConfigCheck(const Options& options) {
  Result<config::Document> document = ReadFile(options.subject);
  // Of the usage class whatever it is: for a build that checks the file, the file is the mistake.
  if (!document)
    return std::unexpected(Failure{.error = std::move(document).error(), .exit_code = kUsage});
  Json keys = Json::array();
  for (const auto& [name, value] : document->values) keys.push_back(name);
  if (options.output == Output::kJson) {
    PrintJson(
        {{"file", options.subject}, {"keys", keys}, {"overrides", document->overrides.size()}});
  } else {
    Print("{}: valid\n", Printable(options.subject));
  }
  return kOk;
}

Outcome ConfigKeys(const Options& options) {
  if (options.output == Output::kText) {
    Print("{}", config::ReferencePage());
    return kOk;
  }
  Json keys = Json::array();
  for (const config::ConfigKey& key : config::ConfigKeys()) {
    keys.push_back({{"name", key.name},
                    {"allowed", key.allowed},
                    {"default", key.default_value},
                    {"takes_effect", EffectName(key)},
                    {"meaning", key.meaning}});
  }
  PrintJson({{"keys", keys}});
  return kOk;
}

}  // namespace weighhouse::cli
