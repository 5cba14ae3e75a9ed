#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace weighhouse::cli {

/// How a run of the program ended.
struct CliResult {
  int exit_code = -1;
  std::string out, err;
};

/// The built `weighhouse`, which lies beside the test program, as a process with an environment of
/// its own. Killed and reaped when destroyed.
class SpawnedCli {
 public:
  enum class Errors { kPipe, kTerminal };
  static constexpr int kTerminalColumns = 60;

  SpawnedCli(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
             Errors errors = Errors::kPipe);
  ~SpawnedCli();
  SpawnedCli(const SpawnedCli&) = delete;
  SpawnedCli& operator=(const SpawnedCli&) = delete;

  /// Reads stderr until `text` has come; false if it ended without.
  bool WaitForError(const std::string& text);
  void Signal(int signal) const;
  /// Reads the rest and waits for the end.
  CliResult Wait();

 private:
  pid_t pid_ = -1;
  UniqueFd out_, err_;
  std::string errors_read_;
};

/// Runs the program to its end.
CliResult RunCli(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {});

}  // namespace weighhouse::cli
