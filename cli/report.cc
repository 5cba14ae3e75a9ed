#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json_text.h"

namespace weighhouse::cli {

void Report(const Failure& failure, Output output) {
  constexpr size_t kMaxMessage = 4000;
  std::string line = fmt::format("weighhouse: {}\n", Printable(failure.error.message, kMaxMessage));
  std::fputs(line.c_str(), stderr);
  if (output != Output::kJson) return;
  PrintJson({{"error", ErrorToJson(failure.error)}});
}

}  // namespace weighhouse::cli
