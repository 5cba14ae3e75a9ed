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
  Json error = {{"code", CodeName(failure.error.code)}, {"message", failure.error.message}};
  PrintJson({{"error", error}});
}

}  // namespace weighhouse::cli
