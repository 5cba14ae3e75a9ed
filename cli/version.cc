#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/print.h"

namespace weighhouse::cli {

Outcome Version(const Options& options) {
  if (options.output == Output::kJson) {
    PrintJson({{"version", WEIGHHOUSE_VERSION}});
  } else {
    Print("weighhouse {}\n", WEIGHHOUSE_VERSION);
  }
  return kOk;
}

}  // namespace weighhouse::cli
