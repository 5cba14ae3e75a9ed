#include "base/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace weighhouse {

// Not by PR_SET_DUMPABLE: the plugin needs its own /proc to make id maps, and a changed uid undoes
// it where fs.suid_dumpable says so. One byte, and not none: to a program that core_pattern pipes
// into the kernel writes whatever the limit, but for this one (core(5) names no reason;
// fs/coredump.c takes it for a loop of dumps).
void ForbidCoreDumps() {
  const rlimit one_byte{.rlim_cur = 1, .rlim_max = 1};
  if (::setrlimit(RLIMIT_CORE, &one_byte) == 0) return;
  // Where the hard limit is none already, only the privileged may raise it: the second best.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace weighhouse
