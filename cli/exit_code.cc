#include "cli/exit_code.h"

#include <utility>

namespace weighhouse::cli {

ExitCode ExitCodeOf(Code code) {
  if (code == Code::kInvalidArgument) return kUsage;
  return IsTemporary(code) ? kTemporary : kFailed;
}

Failure ToFailure(Error error) {
  ExitCode exit_code = ExitCodeOf(error.code);
  return {.error = std::move(error), .exit_code = exit_code};
}

}  // namespace weighhouse::cli
