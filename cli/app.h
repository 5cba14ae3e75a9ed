#pragma once

#include <memory>

#include "cli/options.h"

namespace CLI {
class App;
}

namespace weighhouse::cli {

/// The parser of the command line, which fills `options`: the one source of commands, flags and
/// their descriptions, for --help, the completions and the manual page too. `options` outlives it.
std::unique_ptr<CLI::App> MakeApp(Options& options);

}  // namespace weighhouse::cli
