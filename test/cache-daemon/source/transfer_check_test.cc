#include "cache-daemon/source/transfer_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

HttpHeaders HeadersOf(std::initializer_list<std::string_view> lines) {
  HttpHeaders headers;
  for (std::string_view line : lines) EXPECT_TRUE(headers.AddLine(line));
  return headers;
}

Code CheckCode(std::initializer_list<std::string_view> lines, std::optional<ByteRange> range,
               std::optional<Bytes> size = std::nullopt) {
  Result<> fits = CheckContent(HeadersOf(lines), range, size);
  return fits ? Code{} : fits.error().code;
}

const ByteRange kRange{10, 20};

TEST(CheckContentTest, TakesExactlyTheRangeAskedFor) {
  EXPECT_EQ(
      CheckCode({"HTTP/1.1 206 P", "Content-Range: bytes 10-19/100", "Content-Length: 10"}, kRange),
      Code{});
  EXPECT_EQ(CheckCode({"HTTP/1.1 206 P", "Content-Range: bytes 10-19/*"}, kRange), Code{});
}

TEST(CheckContentTest, RefusesOtherRanges) {
  for (const char* range :
       {"bytes 10-18/100", "bytes 10-20/100", "bytes 0-9/100", "bytes 10-19/15", "nonsense", ""}) {
    std::string line = std::string("Content-Range: ") + range;
    EXPECT_EQ(CheckCode({"HTTP/1.1 206 P", line}, kRange), Code::kOutOfRange) << range;
  }
  EXPECT_EQ(CheckCode({"HTTP/1.1 206 P"}, kRange), Code::kOutOfRange);
}

TEST(CheckContentTest, RefusesAFileOfAnotherSize) {
  for (auto [size, code] :
       {std::pair{Bytes{100}, Code{}}, std::pair{Bytes{99}, Code::kOutOfRange}}) {
    EXPECT_EQ(CheckCode({"HTTP/1.1 206 P", "Content-Range: bytes 10-19/100"}, kRange, size), code);
    EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Length: 100"}, std::nullopt, size), code);
    EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK"}, std::nullopt, size), Code{}) << "it doesn't say";
  }
}

TEST(CheckContentTest, RefusesALengthThatContradictsTheRange) {
  EXPECT_EQ(
      CheckCode({"HTTP/1.1 206 P", "Content-Range: bytes 10-19/100", "Content-Length: 11"}, kRange),
      Code::kOutOfRange);
}

TEST(CheckContentTest, TellsIgnoredRangesApart) {
  EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Length: 100"}, kRange), Code::kUnimplemented);
  EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Length: 100"}, std::nullopt), Code{});
  EXPECT_EQ(CheckCode({"HTTP/1.1 206 P", "Content-Range: bytes 0-9/10"}, std::nullopt),
            Code::kOutOfRange);
}

TEST(CheckContentTest, TakesAnotherPageForTroubleOfTheServersOwn) {
  EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Length: 99"}, kRange, 100), Code::kUnavailable);
  EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Length: 100"}, kRange, 100),
            Code::kUnimplemented);
}

TEST(CheckContentTest, RefusesEncodedContent) {
  EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Encoding: gzip"}, std::nullopt),
            Code::kOutOfRange);
  EXPECT_EQ(CheckCode({"HTTP/1.1 200 OK", "Content-Encoding: identity"}, std::nullopt), Code{});
}

TEST(CheckContentTest, TakesTheLabelOfWhatIsStoredForThat) {
  HttpHeaders headers = HeadersOf({"HTTP/1.1 206 P", "Content-Encoding: gzip",
                                   "Content-Range: bytes 10-19/100", "Content-Length: 10"});
  EXPECT_TRUE(CheckContent(headers, kRange, 100, Encoding::kLabel));
  EXPECT_FALSE(CheckContent(headers, kRange, 101, Encoding::kLabel));
}

TEST(AnswerFailureTest, KeysThatEndedAreNoBrokenRequest) {
  auto code = [](std::string_view body) {
    return AnswerFailure(HeadersOf({"HTTP/1.1 400 B"}), body, {}).code;
  };
  EXPECT_EQ(code("<?xml?><Error><Code>ExpiredToken</Code>"), Code::kUnauthenticated);
  EXPECT_EQ(code("<?xml?><Error><Code>InvalidRequest</Code>"), Code::kFailedPrecondition);
}

TEST(AnswerFailureTest, GivesEachStatusTheClassThatAFillActsOn) {
  const std::pair<int, Code> kTable[] = {
      {301, Code::kUnavailable},        {302, Code::kUnavailable},
      {400, Code::kFailedPrecondition}, {401, Code::kUnauthenticated},
      {403, Code::kPermissionDenied},   {404, Code::kNotFound},
      {408, Code::kUnavailable},        {410, Code::kNotFound},
      {412, Code::kOutOfRange},         {416, Code::kOutOfRange},
      {425, Code::kUnavailable},        {429, Code::kUnavailable},
      {451, Code::kFailedPrecondition}, {500, Code::kUnavailable},
      {503, Code::kUnavailable},        {599, Code::kUnavailable},
      {204, Code::kUnavailable}};
  for (auto [status, code] : kTable) {
    std::string line = "HTTP/1.1 " + std::to_string(status) + " X";
    EXPECT_EQ(AnswerFailure(HeadersOf({line}), "", {}).code, code) << status;
  }
}

TEST(AnswerFailureTest, CarriesTheServersWordsAndWait) {
  Error error =
      AnswerFailure(HeadersOf({"HTTP/1.1 429 X", "Retry-After: 3"}), "slow\ndown\x1b[2J", {});
  EXPECT_EQ(error.retry_after, 3s);
  EXPECT_THAT(error.message, HasSubstr("slow?down?[2J"));
  EXPECT_FALSE(AnswerFailure(HeadersOf({"HTTP/1.1 403 X", "Retry-After: 3"}), "", {}).retry_after);
}

}  // namespace
}  // namespace weighhouse::source
