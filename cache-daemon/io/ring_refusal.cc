#include "cache-daemon/io/ring_refusal.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "base/units.h"

namespace weighhouse::io {
namespace {

std::string ExplainDenied(const RingFacts& facts) {
  if (facts.disabled_sysctl == "2") {
    return "the sysctl kernel.io_uring_disabled is 2, which forbids it to every process of the "
           "node; set it "
           "to 0";
  }
  if (facts.disabled_sysctl == "1") {
    return "the sysctl kernel.io_uring_disabled is 1, which forbids it to processes without "
           "CAP_SYS_ADMIN "
           "outside the group kernel.io_uring_group; put the daemon's group there";
  }
  if (facts.seccomp_filter) {
    return "a seccomp filter denies it, as container runtimes' default profiles do; run with a "
           "profile that "
           "allows io_uring_setup, io_uring_enter and io_uring_register";
  }
  return "a security module (SELinux, AppArmor …) denies it; its audit log names the rule";
}

std::string ExplainMissing(const RingFacts& facts) {
  if (facts.seccomp_filter) return "the kernel is older than 5.6, or a seccomp filter hides it";
  return "the kernel is older than 5.6 or built without it";
}

}  // namespace

RingFacts ReadRingFacts() {
  RingFacts facts;
  std::ifstream("/proc/sys/kernel/io_uring_disabled") >> facts.disabled_sysctl;
  facts.seccomp_filter = ::prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER;
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0) facts.memlock_limit = limit.rlim_cur;
  return facts;
}

std::string ExplainRefusal(const RingRefusal& refusal, const RingFacts& facts) {
  std::string reason;
  switch (refusal.error_number) {
    case EPERM:
    case EACCES:
      reason = ExplainDenied(facts);
      break;
    case ENOSYS:
    case EINVAL:
    case EOPNOTSUPP:
      reason = ExplainMissing(facts);
      break;
    case ENOMEM:
      reason = fmt::format(
          "some kernels count its memory against RLIMIT_MEMLOCK, which is {} here; "
          "raise that or the memory limit",
          FormatBytes(facts.memlock_limit));
      break;
    case EMFILE:
      reason = "the limit of open files (RLIMIT_NOFILE) is reached; raise it";
      break;
    default:
      reason = "unexpected: the kernel's log may say more";
      break;
  }
  return fmt::format("{}: {}: {}", refusal.step, std::strerror(refusal.error_number), reason);
}

}  // namespace weighhouse::io
