#include "base/error.h"

#include <cerrno>
#include <memory>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using testing::HasSubstr;

TEST(ErrorTest, CodesHaveTheNumbersAndNamesOfGrpc) {
  const std::pair<int, std::string_view> kCodes[] = {
      {1, "CANCELLED"},           {2, "UNKNOWN"},
      {3, "INVALID_ARGUMENT"},    {4, "DEADLINE_EXCEEDED"},
      {5, "NOT_FOUND"},           {6, "ALREADY_EXISTS"},
      {7, "PERMISSION_DENIED"},   {8, "RESOURCE_EXHAUSTED"},
      {9, "FAILED_PRECONDITION"}, {10, "ABORTED"},
      {11, "OUT_OF_RANGE"},       {12, "UNIMPLEMENTED"},
      {13, "INTERNAL"},           {14, "UNAVAILABLE"},
      {15, "DATA_LOSS"},          {16, "UNAUTHENTICATED"}};
  for (auto [number, name] : kCodes) EXPECT_EQ(CodeName(static_cast<Code>(number)), name);
}

TEST(ErrorTest, OnlyWhatMayPassByItselfIsTemporary) {
  const std::set<Code> kTemporary = {Code::kCancelled, Code::kDeadlineExceeded,
                                     Code::kResourceExhausted, Code::kAborted, Code::kUnavailable};
  for (int number = 1; number <= 16; ++number) {
    Code code = static_cast<Code>(number);
    EXPECT_EQ(IsTemporary(code), kTemporary.contains(code)) << CodeName(code);
  }
}

TEST(ErrorTest, ContextGoesInFrontAndTheRestStays) {
  Error error{
      .code = Code::kUnavailable, .message = "gone", .retry_after = std::chrono::seconds(3)};
  error = std::move(error).Within("hub").Within("fill");
  EXPECT_EQ(error.message, "fill: hub: gone");
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_EQ(error.retry_after, std::chrono::seconds(3));
}

TEST(ErrorTest, ErrnoBecomesWhatACallerCanActOn) {
  const std::pair<int, Code> kErrors[] = {
      {ENOSPC, Code::kResourceExhausted},  {EDQUOT, Code::kResourceExhausted},
      {ENOENT, Code::kNotFound},           {EEXIST, Code::kAlreadyExists},
      {EACCES, Code::kFailedPrecondition}, {EPERM, Code::kFailedPrecondition},
      {EROFS, Code::kFailedPrecondition},  {EIO, Code::kInternal}};
  for (auto [error_number, code] : kErrors) {
    std::unexpected<Error> failure = FailErrno(error_number, "open /x");
    EXPECT_EQ(failure.error().code, code) << error_number;
    EXPECT_THAT(failure.error().message, testing::StartsWith("open /x: "));
  }
  EXPECT_EQ(FailErrno(ENOENT, "open /x").error().message, "open /x: No such file or directory");
}

Result<std::unique_ptr<int>> MakeNumber(bool good) {
  if (!good) return Fail(Code::kDataLoss, "no number");
  return std::make_unique<int>(7);
}

Result<> Nothing(bool good, int& calls) {
  ++calls;
  if (!good) return Fail(Code::kAborted, "nothing to do");
  return {};
}

Result<int> Both(bool number, bool nothing, int& calls) {
  std::unique_ptr<int> value = TRY(MakeNumber(number));
  TRY(Nothing(nothing, calls));
  return *value;
}

TEST(TryTest, GivesTheValueOrReturnsTheError) {
  int calls = 0;
  EXPECT_EQ(Both(true, true, calls).value(), 7);
  EXPECT_EQ(calls, 1);
  Result<int> stopped = Both(false, true, calls);
  EXPECT_EQ(stopped.error().code, Code::kDataLoss);
  EXPECT_EQ(calls, 1);  // nothing after the failure ran
  EXPECT_EQ(Both(true, false, calls).error().message, "nothing to do");
}

TEST(CheckTest, PassesWhatHolds) {
  int evaluated = 0;
  CHECK(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(CheckDeathTest, EndsTheProcessAndSaysWhereAndWhat) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(CHECK(1 + 1 == 3), "error_test.cc:[0-9]+: broken invariant: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace weighhouse
