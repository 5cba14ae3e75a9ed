#pragma once

#include <string>

#include "cli/program_spec.h"

namespace weighhouse::cli {

/// weighhouse(1), in roff with the macros of man(7).
std::string ManualPage(const ProgramSpec& spec);

}  // namespace weighhouse::cli
