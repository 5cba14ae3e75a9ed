#include "base/core_dumps.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

/// In a child: after `hard` was the process's hard limit, 0 if it can dump nothing.
[[noreturn]] void ForbidBelow(rlim_t hard) {
  const rlimit before{.rlim_cur = 0, .rlim_max = hard};
  ::setrlimit(RLIMIT_CORE, &before);
  ForbidCoreDumps();
  rlimit after{};
  ::getrlimit(RLIMIT_CORE, &after);
  bool limited = after.rlim_cur == 1 && after.rlim_max == 1;
  ::_exit(limited || ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 1);
}

TEST(CoreDumpsTest, AreForbiddenWhateverTheLimitWas) {
  EXPECT_EXIT(ForbidBelow(1024), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(ForbidBelow(0), testing::ExitedWithCode(0), "")
      << "nobody but root raises a hard limit";
}

}  // namespace
}  // namespace weighhouse
