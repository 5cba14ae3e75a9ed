#include "base/core_dumps.h"

#include <sys/resource.h>

namespace weighhouse {

// Not by PR_SET_DUMPABLE: the plugin needs its own /proc to make id maps, and a changed uid undoes
// it where fs.suid_dumpable says so. One byte, and not none: to a program that core_pattern pipes
// into the kernel writes whatever the limit, but for this one (core(5) names no reason;
// fs/coredump.c takes it for a loop of dumps).
void ForbidCoreDumps() {
  const rlimit none{.rlim_cur = 1, .rlim_max = 1};
  ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace weighhouse
