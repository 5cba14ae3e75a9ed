#pragma once

namespace weighhouse::agent {

/// `weighhouse agent`: runs until SIGTERM or SIGINT. `argv[0]` is "agent". Returns the process's
/// exit status: 0, 1 for what fails (--probe too), 2 for wrong flags.
int Run(int argc, const char* const* argv);

}  // namespace weighhouse::agent
