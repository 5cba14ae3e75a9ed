#include "agent/model_id.h"

#include <nlohmann/json.hpp>

#include "base/model.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"

namespace weighhouse::cli {

Outcome ModelId(const Options& options) {
  Result<std::string> id = agent::ModelIdOf(options.subject);
  if (!id) return std::unexpected(ToFailure(id.error()));
  if (options.output == Output::kJson) {
    PrintJson({{"model", options.subject},
               {"id", *id},
               {"label", std::string(agent::kLabelPrefix) + *id},
               {"value", std::string(agent::kLabelValue)}});
  } else {
    Print("{}\n", *id);
  }
  return kOk;
}

Outcome AgentComesFirst(const Options&) {
  return std::unexpected(
      Failure{.error = {.code = Code::kInvalidArgument,
                        .message = "agent has flags of its own and stands before all: "
                                   "weighhouse agent --help lists them"},
              .exit_code = kUsage});
}

}  // namespace weighhouse::cli
