// GCS' JSON: the first byte chooses one object, an error's body, or a page of a bucket's list.

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/gcs/gcs_answers.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

void CheckGcsObject(const GcsObject& object) {
  CHECK(!object.name.empty() && object.size <= kMaxFileBytes);
  // It becomes a part of a URL.
  CHECK(ParseNumber(object.generation));
}

void CheckGcsRefusal(const Error& error) {
  CHECK(error.code == Code::kUnavailable || error.code == Code::kInvalidArgument);
  CHECK(error.message.size() < 2000);
}

void CheckGcsPage(std::string_view json) {
  Result<GcsPage> page = ParseGcsPage(json);
  if (!page) return CheckGcsRefusal(page.error());
  size_t bytes = page->next.size();
  for (const GcsObject& object : page->objects) {
    CheckGcsObject(object);
    CHECK(!object.name.ends_with('/'));
    bytes += object.name.size() + object.generation.size();
  }
  CHECK(bytes <= json.size());
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(gcs_answers, bytes) {
  std::string_view json = bytes;
  switch (fuzz::TakeByte(json)) {
    case 'o': {
      Result<GcsObject> object = ParseGcsObject(json);
      if (object) CheckGcsObject(*object);
      if (!object) CheckGcsRefusal(object.error());
      return;
    }
    case 'e': {
      HttpResponse response{.headers = {}, .body = std::string(json)};
      CHECK(response.headers.AddLine("HTTP/1.1 403 Forbidden\r\n"));
      Error error =
          GcsFailure(response, "gs://bucket/name", {"Authorization: Bearer s3cr3t-t0ken"}, {});
      CHECK(error.code == Code::kPermissionDenied);
      CHECK(error.message.size() < 2000 && Printable(error.message, 2000) == error.message);
      CHECK(error.message.find("s3cr3t-t0ken") == std::string::npos);
      return;
    }
    default:
      CheckGcsPage(json);
  }
}

}  // namespace weighhouse::source
