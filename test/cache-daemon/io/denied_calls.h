#pragma once

#include <functional>
#include <vector>

namespace weighhouse::io {

/// One system call that a seccomp filter answers with an errno value instead of running it.
struct DeniedCall {
  static constexpr int kAnyArguments = -1;

  long number = 0;
  int error_number = 0;
  int argument = kAnyArguments;  ///< deny only where this argument (from 0) has the value
  unsigned value = 0;
};

/// Runs `body` on a thread (and the threads it starts) where the kernel answers `denied` as said:
/// what a container runtime's profile, an older kernel or a lesser filesystem would do. The filter
/// dies with its threads.
void RunWithDenied(const std::vector<DeniedCall>& denied, const std::function<void()>& body);

}  // namespace weighhouse::io
