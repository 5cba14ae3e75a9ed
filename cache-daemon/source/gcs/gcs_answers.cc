#include "cache-daemon/source/gcs/gcs_answers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/json_text.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxNameBytes = 1024;  ///< GCS' own limit
constexpr size_t kMaxPageTokenBytes = 8192;

std::unexpected<Error> NoDocument(std::string_view json) {
  return Fail(Code::kUnavailable,
              fmt::format("the answer is no JSON object of GCS (a proxy's page?): {}",
                          Printable(Trim(json), 80)));
}

Result<GcsObject> ToObject(const Json& item) {
  if (!item.is_object()) return Fail(Code::kInvalidArgument, "the bucket lists what is no object");
  GcsObject object{.name = TextAt(item, "name"), .generation = TextAt(item, "generation")};
  auto refuse = [&](std::string_view what) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the bucket lists '{}' {}: refused", Printable(object.name), what));
  };
  if (object.name.empty() || object.name.size() > kMaxNameBytes) {
    return refuse("with an impossible name");
  }
  auto size = ParseNumber(TextAt(item, "size"));
  if (!size || *size > kMaxFileBytes) return refuse("without a possible size");
  object.size = *size;
  if (!ParseNumber(object.generation)) return refuse("without a generation");
  object.is_gzip = ToLower(TextAt(item, "contentEncoding")) == "gzip";
  object.crc32c =
      ContentChecksum::FromBase64(ContentChecksum::Kind::kCrc32c, TextAt(item, "crc32c"));
  return object;
}

/// `{"error": {"message": "…"}}`, or OAuth's `{"error": "…", "error_description": "…"}`.
std::string SaidBy(const HttpResponse& response) {
  std::optional<Json> document = ParseObject(response.body);
  if (!document || !document->contains("error")) return "";
  const Json& error = (*document)["error"];
  if (error.is_object()) return Printable(TextAt(error, "message"), 300);
  return Printable(TextAt(*document, "error_description"), 300);
}

}  // namespace

Result<GcsPage> ParseGcsPage(std::string_view json) {
  std::optional<Json> document = ParseObject(json);
  if (!document) return NoDocument(json);
  GcsPage page{.next = TextAt(*document, "nextPageToken")};
  auto items = document->find("items");
  if (items != document->end() && items->is_array()) {
    for (const Json& item : *items) {
      GcsObject object = TRY(ToObject(item));
      if (!object.name.ends_with('/')) page.objects.push_back(std::move(object));
    }
  }
  if (page.next.size() <= kMaxPageTokenBytes) return page;
  return Fail(Code::kInvalidArgument, "the bucket's list goes on at an impossible token: refused");
}

Result<GcsObject> ParseGcsObject(std::string_view json) {
  std::optional<Json> document = ParseObject(json);
  if (!document) return NoDocument(json);
  return ToObject(*document);
}

Error GcsFailure(const HttpResponse& response, std::string_view subject,
                 const std::vector<std::string>& authorization,
                 std::chrono::system_clock::time_point now) {
  bool with_token = !authorization.empty();
  int status = response.status();
  Error error;
  std::string_view what;
  if (status == 401 || (status == 403 && !with_token)) {
    error = {.code = Code::kUnauthenticated, .message = {}, .rights_may_help = true};
    what = with_token ? "the token isn't accepted (expired or revoked?): give a valid service "
                        "account"
                      : "it is not public: give a service account that may read it "
                        "(gcloud-application-credentials.json in the secret)";
  } else if (status == 403) {
    error = {.code = Code::kPermissionDenied, .message = {}, .rights_may_help = true};
    what =
        "this account may not read it: it needs storage.objects.list and storage.objects.get "
        "(role Storage Object Viewer)";
  } else if (status == 404 || status == 410) {
    error.code = Code::kNotFound;
    what = "it isn't there";
  } else if (status == 412) {
    error.code = Code::kOutOfRange;
    what = "the object changed since it was listed";
  } else if (IsPassing(status)) {
    error = {.code = Code::kUnavailable, .message = {}, .retry_after = {}};
    error.retry_after = RetryDelay(response.headers, now);
    what = "it asks for fewer requests, or has trouble";
  } else {
    error.code = Code::kFailedPrecondition;
    what = "it refuses the request";
  }
  std::string said = WithoutSecrets(SaidBy(response), "", authorization);
  error.message = fmt::format("{}: {} (HTTP {}){}{}", Printable(subject), what, status,
                              said.empty() ? "" : "; it says: ", said);
  return error;
}

}  // namespace weighhouse::source
