#include "test/support/killed_child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include <gtest/gtest.h>

namespace weighhouse {

bool IsKilledAt(const std::string& fault, const std::string& filter,
                const std::map<std::string, std::string>& environment) {
  std::string only = "--gtest_filter=" + filter;
  pid_t child = ::fork();
  if (child == 0) {
    ::setenv("WEIGHHOUSE_FAULT", fault.c_str(), 1);
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    int quiet = ::open("/dev/null", O_WRONLY);
    ::dup2(quiet, STDOUT_FILENO);
    ::execl("/proc/self/exe", "crash_test", only.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  EXPECT_TRUE(killed || status == 0) << "the child failed by itself";
  return killed;
}

}  // namespace weighhouse
