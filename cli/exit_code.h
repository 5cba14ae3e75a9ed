#pragma once

#include "base/error.h"

namespace weighhouse::cli {

/// What scripts can tell apart. Part of the public surface: --help says the same.
enum ExitCode {
  kOk = 0,
  kFailed = 1,         ///< for good: not found, denied, bad data
  kUsage = 2,          ///< the arguments are wrong
  kTemporary = 3,      ///< the same command may succeed later
  kNoDaemon = 4,       ///< nobody answers at --socket
  kInterrupted = 130,  ///< SIGINT, as shells say it
};

/// The class of a failed call.
ExitCode ExitCodeOf(Code code);

/// Why a command can't go on.
struct Failure {
  Error error;
  int exit_code = kFailed;
};

/// A failure of a call.
Failure ToFailure(Error error);

}  // namespace weighhouse::cli
