#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace weighhouse {

/// How a run of a program ended.
struct ProgramResult {
  int exit_code = -1;
  std::string out, err;
};

/// A built program, which lies beside the test's own, as a process with an environment of its own.
/// Killed and reaped when destroyed.
class SpawnedProgram {
 public:
  enum class Errors { kPipe, kTerminal };
  static constexpr int kTerminalColumns = 60;

  SpawnedProgram(const std::string& name, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {}, Errors errors = Errors::kPipe);
  ~SpawnedProgram();
  SpawnedProgram(const SpawnedProgram&) = delete;
  SpawnedProgram& operator=(const SpawnedProgram&) = delete;

  /// Reads stderr until `text` has come; false if it ended without.
  bool WaitForError(const std::string& text);
  void Signal(int signal) const;
  /// Reads the rest and waits for the end.
  ProgramResult Wait();

 private:
  pid_t pid_ = -1;
  UniqueFd out_, err_;
  std::string errors_read_;
};

/// Runs a program to its end.
ProgramResult RunProgram(const std::string& name, const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment = {});

}  // namespace weighhouse
