#include "test/cache-daemon/io/denied_calls.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include <cerrno>
#include <cstddef>
#include <thread>

#include <gtest/gtest.h>

namespace weighhouse::io {
namespace {

sock_filter Load(size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}

/// Goes on if what is loaded equals `value`, else skips `count` instructions.
sock_filter SkipUnless(unsigned value, unsigned char count) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count);
}

/// The offset of an argument's low half on a little-endian machine.
size_t ArgumentOffset(int argument) {
  return offsetof(seccomp_data, args) +
         static_cast<size_t>(argument) * sizeof(seccomp_data::args[0]);
}

/// A classic BPF program over seccomp_data (seccomp(2)).
std::vector<sock_filter> FilterOf(const std::vector<DeniedCall>& denied) {
  std::vector<sock_filter> program;
  for (const DeniedCall& call : denied) {
    bool any = call.argument == DeniedCall::kAnyArguments;
    program.push_back(Load(offsetof(seccomp_data, nr)));
    program.push_back(SkipUnless(static_cast<unsigned>(call.number), any ? 1 : 3));
    if (!any) {
      program.push_back(Load(ArgumentOffset(call.argument)));
      program.push_back(SkipUnless(call.value, 1));
    }
    auto answer = SECCOMP_RET_ERRNO | (static_cast<unsigned>(call.error_number) & SECCOMP_RET_DATA);
    program.push_back(BPF_STMT(BPF_RET | BPF_K, answer));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return program;
}

}  // namespace

void RunWithDenied(const std::vector<DeniedCall>& denied, const std::function<void()>& body) {
  std::jthread thread([&] {
    std::vector<sock_filter> instructions = FilterOf(denied);
    sock_fprog program = {.len = static_cast<unsigned short>(instructions.size()),
                          .filter = instructions.data()};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0) << "errno " << errno;
    body();
  });
}

}  // namespace weighhouse::io
