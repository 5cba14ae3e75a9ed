#include <sched.h>
#include <sys/syscall.h>

#include <cerrno>
#include <future>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/io/io_engine.h"
#include "cache-daemon/io/ring.h"
#include "cache-daemon/io/ring_refusal.h"
#include "test/cache-daemon/io/denied_calls.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

void ExpectThatItWrites(IoEngine& engine) {
  TemporaryDirectory directory;
  PosixFilesystem filesystem;
  std::string path = (directory / "data").string();
  OpenedFile file = std::move(filesystem.CreateFile(path, IoMode::kBuffered).value());
  std::promise<int> done;
  engine.Write(file.fd.get(), 0, std::as_bytes(std::span("text", 4)),
               [&](int error_number) { done.set_value(error_number); });
  EXPECT_EQ(done.get_future().get(), 0);
  EXPECT_EQ(filesystem.ReadFile(path, 100).value(), "text");
}

TEST(RingEngineTest, AFinishedWriteInterruptsNobodyWhoComputes) {
  auto ring = RingEngine::Create();
  if (!ring) GTEST_SKIP() << "io_uring is denied on this machine";
  TemporaryDirectory directory;
  OpenedFile file =
      std::move(PosixFilesystem().CreateFile(directory / "data", IoMode::kBuffered).value());
  std::promise<int> policy;
  (*ring)->Write(file.fd.get(), 0, std::as_bytes(std::span("text", 4)),
                 [&](int) { policy.set_value(sched_getscheduler(0)); });
  EXPECT_EQ(policy.get_future().get(), SCHED_BATCH);
}

TEST(SelectIoEngineTest, TakesPwriteWhereItIsAskedFor) {
  Result<IoEngineSelection> selection = SelectIoEngine(IoEngineChoice::kPwrite);
  ASSERT_TRUE(selection.has_value());
  EXPECT_EQ(selection->engine->Name(), "pwrite");
  EXPECT_THAT(selection->fallback_reason, IsEmpty());
}

TEST(SelectIoEngineTest, TakesIoUringWhereItIsAllowed) {
  if (!RingEngine::Create()) GTEST_SKIP() << "io_uring is denied on this machine";
  for (IoEngineChoice choice : {IoEngineChoice::kAuto, IoEngineChoice::kIoUring}) {
    Result<IoEngineSelection> selection = SelectIoEngine(choice);
    ASSERT_TRUE(selection.has_value());
    EXPECT_EQ(selection->engine->Name(), "io_uring");
    EXPECT_THAT(selection->fallback_reason, IsEmpty());
    ExpectThatItWrites(*selection->engine);
  }
}

struct Denial {
  std::string name;
  DeniedCall call;
  std::vector<std::string> reason;  ///< what the line for people says
};

class SelectWithout : public testing::TestWithParam<Denial> {};

TEST_P(SelectWithout, FallsBackToPwriteAndSaysWhy) {
  RunWithDenied({GetParam().call}, [] {
    Result<IoEngineSelection> selection = SelectIoEngine(IoEngineChoice::kAuto);
    ASSERT_TRUE(selection.has_value());
    EXPECT_EQ(selection->engine->Name(), "pwrite");
    for (const std::string& part : GetParam().reason) {
      EXPECT_THAT(selection->fallback_reason, HasSubstr(part));
    }
    ExpectThatItWrites(*selection->engine);
  });
}

TEST_P(SelectWithout, RefusesWhereIoUringIsDemanded) {
  RunWithDenied({GetParam().call}, [] {
    Result<IoEngineSelection> selection = SelectIoEngine(IoEngineChoice::kIoUring);
    ASSERT_FALSE(selection.has_value());
    EXPECT_EQ(selection.error().code, Code::kFailedPrecondition);
    EXPECT_THAT(selection.error().message,
                AllOf(HasSubstr(GetParam().reason.front()), HasSubstr("choose the pwrite engine")));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Calls, SelectWithout,
    testing::Values(
        Denial{"SetupEperm",
               {SYS_io_uring_setup, EPERM},
               {"io_uring_setup", "not permitted", "seccomp"}},
        Denial{"SetupEnosys", {SYS_io_uring_setup, ENOSYS}, {"io_uring_setup", "5.6", "seccomp"}},
        Denial{"SetupEnomem", {SYS_io_uring_setup, ENOMEM}, {"io_uring_setup", "RLIMIT_MEMLOCK"}},
        Denial{"SetupEmfile", {SYS_io_uring_setup, EMFILE}, {"io_uring_setup", "RLIMIT_NOFILE"}},
        Denial{"EnterEperm", {SYS_io_uring_enter, EPERM}, {"io_uring_enter", "seccomp"}}),
    [](const auto& tested) { return tested.param.name; });

TEST(ExplainRefusalTest, NamesTheSysctlBeforeAnythingElse) {
  RingRefusal denied{.step = "io_uring_setup", .error_number = EPERM};
  EXPECT_THAT(ExplainRefusal(denied, {.disabled_sysctl = "2", .seccomp_filter = true}),
              AllOf(HasSubstr("kernel.io_uring_disabled is 2"), HasSubstr("set it to 0")));
  EXPECT_THAT(ExplainRefusal(denied, {.disabled_sysctl = "1"}),
              AllOf(HasSubstr("kernel.io_uring_disabled is 1"), HasSubstr("io_uring_group")));
}

TEST(ExplainRefusalTest, NamesASecurityModuleWhereNothingElseCanBe) {
  RingRefusal denied{.step = "io_uring_setup", .error_number = EACCES};
  EXPECT_THAT(ExplainRefusal(denied, {.disabled_sysctl = "0"}), HasSubstr("SELinux"));
}

TEST(ExplainRefusalTest, GivesTheMemoryLimitInWords) {
  RingRefusal refusal{.step = "io_uring_setup", .error_number = ENOMEM};
  EXPECT_THAT(ExplainRefusal(refusal, {.memlock_limit = 65536}), HasSubstr("64.0 KiB"));
}

TEST(ExplainRefusalTest, NamesOldKernels) {
  RingRefusal missing{.step = "io_uring_setup", .error_number = ENOSYS};
  EXPECT_THAT(ExplainRefusal(missing, {}), HasSubstr("older than 5.6 or built without it"));
  RingRefusal write{.step = "write", .error_number = EINVAL};
  EXPECT_THAT(ExplainRefusal(write, {}), HasSubstr("older than 5.6"));
}

TEST(ExplainRefusalTest, SaysTheErrorOfWhatItDoesNotKnow) {
  RingRefusal strange{.step = "eventfd", .error_number = EXDEV};
  EXPECT_THAT(ExplainRefusal(strange, {}), HasSubstr("eventfd: Invalid cross-device link"));
}

}  // namespace
}  // namespace weighhouse::io
