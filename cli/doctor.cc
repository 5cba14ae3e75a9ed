#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/unique_fd.h"
#include "cli/commands.h"
#include "cli/doctor_finding.h"
#include "cli/doctor_gather.h"
#include "cli/doctor_judgements.h"
#include "cli/json_text.h"
#include "cli/print.h"
#include "cli/screen.h"

namespace weighhouse::cli {
namespace {

void PrintFindings(const Findings& findings, Output output) {
  if (output == Output::kText) {
    Print("{}", FindingsText(findings, Paint(Screen::Of(STDOUT_FILENO).colour)));
    return;
  }
  Json checks = Json::array();
  for (const Finding& finding : findings) {
    checks.push_back({{"name", finding.name},
                      {"state", StateName(finding.state)},
                      {"value", finding.value},
                      {"remedy", finding.remedy}});
  }
  PrintJson({{"failures", CountOf(findings, CheckState::kFail)},
             {"warnings", CountOf(findings, CheckState::kWarn)},
             {"checks", checks}});
}

/// Examines and prints. The exit code, whatever still hangs.
int Examine(const Options& options, TimedProbes& probes) {
  Findings findings = Judge(GatherFacts(options, probes));
  PrintFindings(findings, options.output);
  if (std::fflush(stdout) != 0) {
    std::perror("weighhouse: write the result");
    return kFailed;
  }
  return CountOf(findings, CheckState::kFail) == 0 ? kOk : kFailed;
}

/// The child's whole life. Says its exit code on `out`, then lets go of what others wait for: where
/// a disk hangs, a thread of it may do so for ever, and the process with it.
[[noreturn]] void ExamineAndEnd(const Options& options, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  TimedProbes probes;
  auto exit_code = static_cast<unsigned char>(Examine(options, probes));
  [[maybe_unused]] ssize_t said = ::write(out, &exit_code, sizeof exit_code);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, out}) ::close(fd);
  ::_exit(exit_code);
}

}  // namespace

Outcome Doctor(const Options& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return std::unexpected(ToFailure(FailErrno(errno, "pipe").error()));
  UniqueFd in(ends[0]), out(ends[1]);
  pid_t child = ::fork();  // before the first thread
  if (child < 0) return std::unexpected(ToFailure(FailErrno(errno, "fork").error()));
  if (child == 0) ExamineAndEnd(options, out.get());
  out.reset();
  unsigned char exit_code = 0;
  ssize_t heard = 0;
  do heard = ::read(in.get(), &exit_code, sizeof exit_code);
  while (heard < 0 && errno == EINTR);
  if (heard == 1) return exit_code;  // whether its process can end or not
  int status = 0;
  ::waitpid(child, &status, 0);
  return std::unexpected(
      ToFailure(Error{.code = Code::kInternal,
                      .message = fmt::format("the examination ended with wait status {}: report "
                                             "this as a bug",
                                             status)}));
}

}  // namespace weighhouse::cli
