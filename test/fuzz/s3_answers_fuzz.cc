// What S3 answers: the first byte chooses a page of a bucket's list, an error's body, or the
// headers that give an object's checksum.

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/s3/s3_answers.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

/// `<Contents><Key>k</Key><Size>0</Size><ETag>e</ETag></Contents>`: no object comes by less.
constexpr size_t kLeastOfAnObject = 60;

void CheckS3Page(std::string_view xml) {
  Result<S3Page> page = ParseS3Page(xml);
  if (!page) {
    CHECK(page.error().code == Code::kUnavailable || page.error().code == Code::kInvalidArgument);
    CHECK(page.error().message.size() < 2000);
    return;
  }
  CHECK(page->objects.size() * kLeastOfAnObject <= xml.size());
  size_t bytes = 0;
  for (const S3Object& object : page->objects) {
    CHECK(!object.key.empty() && !object.key.ends_with('/') && object.size <= kMaxFileBytes);
    // The ETag becomes a request's header.
    CHECK(!object.etag.empty());
    CHECK(std::ranges::none_of(object.etag, [](unsigned char c) { return c < 0x20 || c == 0x7F; }));
    bytes += object.key.size() + object.etag.size();
  }
  CHECK(bytes <= xml.size());
  if (page->next) CHECK(!page->next->empty() && page->next->size() <= xml.size());
}

void CheckS3Error(std::string_view xml) {
  S3ErrorBody said = ParseS3Error(xml);
  CHECK(Printable(said.code) == said.code && Printable(said.region) == said.region);
  HttpResponse response{.headers = {}, .body = std::string(xml)};
  CHECK(response.headers.AddLine("HTTP/1.1 403 Forbidden\r\n"));
  Error error = S3Failure(response, {.subject = "s3://bucket/key"}, {});
  CHECK(error.message.starts_with("s3://bucket/key"));
  CHECK(error.message.size() < 2000 && Printable(error.message, 2000) == error.message);
}

void CheckS3Checksum(std::string_view text) {
  HttpHeaders headers;
  while (!text.empty()) {
    std::string line = "x-amz-checksum-" + std::string(fuzz::TakeUntil(text, '\n')) + "\r\n";
    if (!headers.AddLine(line)) return;
  }
  std::optional<ContentChecksum> checksum = S3ChecksumOf(headers);
  if (!checksum) return;
  size_t digits = checksum->kind == ContentChecksum::Kind::kSha256   ? 64
                  : checksum->kind == ContentChecksum::Kind::kCrc32c ? 8
                                                                     : 16;
  CHECK(IsHex(checksum->value, digits));
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(s3_answers, bytes) {
  std::string_view xml = bytes;
  switch (fuzz::TakeByte(xml)) {
    case 'e':
      return CheckS3Error(xml);
    case 'c':
      return CheckS3Checksum(xml);
    default:
      return CheckS3Page(xml);
  }
}

}  // namespace weighhouse::source
