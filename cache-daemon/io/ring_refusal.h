#pragma once

#include <cstdint>
#include <string>

namespace weighhouse::io {

/// Where the kernel refused io_uring.
struct RingRefusal {
  std::string step;  ///< the system call, such as "io_uring_setup", or "write" for the trial write
  int error_number = 0;  ///< its errno value
};

/// What a machine says about io_uring, as far as it explains a refusal.
struct RingFacts {
  std::string disabled_sysctl;  ///< content of /proc/sys/kernel/io_uring_disabled, trimmed; empty
                                ///< if there is none
  bool seccomp_filter = false;  ///< the calling thread runs under one
  uint64_t memlock_limit = 0;   ///< RLIMIT_MEMLOCK in bytes
};

/// Of this machine and the calling thread.
RingFacts ReadRingFacts();

/// One line for people: what refused io_uring, and what to change to have it.
std::string ExplainRefusal(const RingRefusal& refusal, const RingFacts& facts);

}  // namespace weighhouse::io
