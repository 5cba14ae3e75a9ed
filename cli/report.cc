#include <cstdio>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/json_text.h"

namespace weighhouse::cli {

void Report(const Failure& failure, Output output) {
  constexpr size_t kMaxMessage = 4000;
  fmt::print(stderr, "weighhouse: {}\n", Printable(failure.error.message, kMaxMessage));
  if (output != Output::kJson) return;
  Json error = {{"code", CodeName(failure.error.code)}, {"message", failure.error.message}};
  PrintJson({{"error", error}});
}

}  // namespace weighhouse::cli
