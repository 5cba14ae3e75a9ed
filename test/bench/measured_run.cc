// bench-run RESULT COMMAND…: runs the command and writes what it took to RESULT, as one JSON
// object: wall seconds, user and system seconds of the command and all its reaped descendants, and
// the largest resident set among them. A program of its own, because a child of the Python harness
// would begin with Python's resident set.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/unique_fd.h"

namespace {

double Now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

int ExitStatus(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: bench-run RESULT COMMAND…\n", stderr);
    return 2;
  }
  // Opened first: the command may become another user, the result stays ours.
  weighhouse::UniqueFd result(
      ::open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!result) {
    std::fprintf(stderr, "bench-run: open %s: %s\n", argv[1], std::strerror(errno));
    return 2;
  }
  double begin = Now();
  pid_t child = ::fork();
  if (child == 0) {
    ::execvp(argv[2], argv + 2);
    std::fprintf(stderr, "bench-run: %s: %s\n", argv[2], std::strerror(errno));
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (child < 0 || ::wait4(child, &status, 0, &usage) != child) {
    std::fprintf(stderr, "bench-run: fork or wait: %s\n", std::strerror(errno));
    return 2;
  }
  double wall = Now() - begin;
  ::dprintf(result.get(),
            "{\"status\": %d, \"wall_s\": %.6f, \"user_s\": %.6f, \"system_s\": %.6f, "
            "\"max_rss_kib\": %ld}\n",
            ExitStatus(status), wall, Seconds(usage.ru_utime), Seconds(usage.ru_stime),
            usage.ru_maxrss);
  return ExitStatus(status);
}
