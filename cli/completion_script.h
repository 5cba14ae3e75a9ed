#pragma once

#include <string>

#include "cli/program_spec.h"

namespace weighhouse::cli {

// Scripts that complete commands, flags and the values of flags, for the shells that read them.
std::string BashCompletion(const ProgramSpec& spec);
std::string ZshCompletion(const ProgramSpec& spec);
std::string FishCompletion(const ProgramSpec& spec);

}  // namespace weighhouse::cli
