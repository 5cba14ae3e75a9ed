#include "cache-daemon/source/transfer_check.h"

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

std::unexpected<Error> OtherBytes(std::string message) {
  return Fail(Code::kOutOfRange, std::move(message));
}

Result<> CheckSize(std::optional<Bytes> found, std::optional<Bytes> listed) {
  if (!found || !listed || *found == *listed) return {};
  return OtherBytes(fmt::format("the file has {} bytes there, {} were listed", *found, *listed));
}

Result<> CheckContentRange(std::string_view content_range, const ByteRange& asked,
                           std::optional<Bytes> size) {
  auto got = ParseContentRange(content_range);
  if (!got) {
    return OtherBytes(fmt::format("asked for bytes {}-{}, got Content-Range '{}'", asked.begin,
                                  asked.end - 1, Printable(content_range, 80)));
  }
  if (got->range != asked) {
    return OtherBytes(fmt::format("asked for bytes {}-{}, got {}-{}", asked.begin, asked.end - 1,
                                  got->range.begin, got->range.end - 1));
  }
  return CheckSize(got->total, size);
}

struct Meaning {
  Code code;
  std::string_view text;
};

Meaning MeaningOf(int status) {
  switch (status) {
    case 401:
      return {Code::kUnauthenticated, "it wants credentials"};
    case 403:
      return {Code::kPermissionDenied, "it refuses (a signed URL may have expired)"};
    case 407:
      return {Code::kUnavailable, "the proxy wants credentials: an admin gives them in its URL"};
    case 404:
    case 410:
      return {Code::kNotFound, "it doesn't have the file"};
    case 408:
      return {Code::kUnavailable, "it gave up waiting"};
    case 412:
      return {Code::kOutOfRange, "the file changed there"};
    case 416:
      return {Code::kOutOfRange, "the file is shorter there"};
    case 425:
    case 429:
      return {Code::kUnavailable, "it asks for fewer requests"};
    default:
      break;
  }
  if (status >= 300 && status < 400) {
    return {Code::kUnavailable, "the file moved on (a redirect, where a location is final)"};
  }
  if (status >= 400 && status < 500) return {Code::kFailedPrecondition, "it refuses the request"};
  return {Code::kUnavailable, "it has trouble of its own"};
}

}  // namespace

bool HasContent(int status) { return status == 200 || status == 206; }

bool IsPassing(int status) {
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

Result<> CheckContent(const HttpHeaders& headers, const std::optional<ByteRange>& range,
                      std::optional<Bytes> size, Encoding meaning) {
  std::string encoding = ToLower(headers.Find("content-encoding"));
  if (meaning == Encoding::kOfTransfer && !encoding.empty() && encoding != "identity") {
    return OtherBytes(fmt::format("the content came encoded ({}), though identity was asked for",
                                  Printable(encoding, 40)));
  }
  if (!range) {
    if (headers.status() == 200)
      return CheckSize(ParseNumber(headers.Find("content-length")), size);
    return OtherBytes("asked for the whole file, got a part");
  }
  if (headers.status() == 200) {
    std::optional<Bytes> length = ParseNumber(headers.Find("content-length"));
    if (length && size && *length != *size) {
      return Fail(
          Code::kUnavailable,
          fmt::format("asked for a part of the file, got something else of {} bytes", *length));
    }
    return Fail(Code::kUnimplemented, "the server ignores Range: it sends the whole file");
  }
  TRY(CheckContentRange(headers.Find("content-range"), *range, size));
  if (!headers.Has("content-length")) return {};
  if (ParseNumber(headers.Find("content-length")) == range->size()) return {};
  return OtherBytes(fmt::format("asked for {} bytes, Content-Length is '{}'", range->size(),
                                Printable(headers.Find("content-length"), 40)));
}

Error AnswerFailure(const HttpHeaders& headers, std::string_view body,
                    std::chrono::system_clock::time_point now) {
  Meaning meaning = MeaningOf(headers.status());
  // S3's word for keys that ended since the file was located.
  if (headers.status() == 400 && body.contains("<Code>ExpiredToken</Code>")) {
    meaning = {Code::kUnauthenticated, "the keys have ended"};
  }
  std::string message = fmt::format("HTTP {}: {}", headers.status(), meaning.text);
  std::string said = Printable(Trim(body), 500);
  if (!said.empty()) message += fmt::format("; it says: {}", said);
  Error error{meaning.code, std::move(message)};
  if (meaning.code == Code::kUnavailable) error.retry_after = RetryDelay(headers, now);
  return error;
}

}  // namespace weighhouse::source
