#include "cache-daemon/source/s3/s3_answers.h"

#include <algorithm>
#include <array>
#include <pugixml.hpp>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/transfer_check.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {
namespace {

constexpr size_t kMaxKeyBytes = 1024;    ///< S3's own limit
constexpr size_t kMaxEtagBytes = 256;    ///< of 32 to 70 in all services known
constexpr size_t kMaxTokenBytes = 8192;  ///< a continuation token holds an encrypted key
/// Of elements and attributes in an answer: a thousand objects have a tenth. The parser takes many
/// times their bytes for each.
constexpr std::ptrdiff_t kMaxNodes = 200'000;

/// By what elements and attributes can't do without.
bool HasTooManyNodes(std::string_view xml) {
  return std::ranges::count_if(xml, [](char c) { return c == '<' || c == '"' || c == '\''; }) >
         kMaxNodes;
}

/// The name without a namespace's prefix.
std::string_view LocalName(const pugi::xml_node& node) {
  std::string_view name = node.name();
  return name.substr(name.find(':') + 1);
}

pugi::xml_node Child(const pugi::xml_node& parent, std::string_view name) {
  return parent.find_child([&](const pugi::xml_node& node) { return LocalName(node) == name; });
}

std::string TextOf(const pugi::xml_node& parent, std::string_view name) {
  return Child(parent, name).child_value();
}

/// The root element called `name`, or nothing.
pugi::xml_node ParseRoot(pugi::xml_document& document, std::string_view xml,
                         std::string_view name) {
  if (HasTooManyNodes(xml)) return {};
  pugi::xml_parse_result parsed =
      document.load_buffer(xml.data(), xml.size(), pugi::parse_default, pugi::encoding_utf8);
  return parsed ? Child(document, name) : pugi::xml_node();
}

/// What `encoding-type=url` made of a key: as in a form, a space became a plus.
std::optional<std::string> FormDecode(std::string text) {
  std::ranges::replace(text, '+', ' ');
  return PercentDecode(text);
}

std::unexpected<Error> BadObject(std::string_view key, std::string_view what) {
  return Fail(Code::kInvalidArgument,
              fmt::format("the bucket lists '{}' {}: refused", Printable(key), what));
}

/// Appends the object of one `<Contents>`, unless it stands for a directory.
Result<> AppendObject(const pugi::xml_node& contents, bool encoded, std::vector<S3Object>& out) {
  S3Object object{.key = TextOf(contents, "Key"), .etag = TextOf(contents, "ETag")};
  if (encoded) {
    std::optional<std::string> key = FormDecode(object.key);
    if (!key) return BadObject(object.key, "with a broken escape");
    object.key = *std::move(key);
  }
  if (object.key.empty() || object.key.size() > kMaxKeyBytes) {
    return BadObject(object.key, "with an impossible key");
  }
  if (object.key.ends_with('/')) return {};
  auto size = ParseNumber(TextOf(contents, "Size"));
  if (!size || *size > kMaxFileBytes) return BadObject(object.key, "without a possible size");
  object.size = *size;
  bool token = !object.etag.empty() && object.etag.size() <= kMaxEtagBytes &&
               Printable(object.etag, kMaxEtagBytes + 1) == object.etag;
  if (!token) return BadObject(object.key, "without an ETag, so a change could not be noticed");
  out.push_back(std::move(object));
  return {};
}

constexpr std::string_view kArchived = "InvalidObjectState";

struct S3Meaning {
  Code code;
  bool rights_may_help;
  std::string text;
};

/// By the error's name, where it says more than the status.
std::optional<S3Meaning> MeaningOfCode(std::string_view code) {
  constexpr std::array kBadKeys = {
      "InvalidAccessKeyId",   "SignatureDoesNotMatch", "ExpiredToken",        "InvalidToken",
      "TokenRefreshRequired", "InvalidSecurity",       "InvalidClientTokenId"};
  if (std::ranges::find(kBadKeys, code) != kBadKeys.end()) {
    return S3Meaning{Code::kUnauthenticated, true,
                     "it doesn't accept the keys (mistyped, expired or of another service?): give "
                     "new ones (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)"};
  }
  if (code == "NoSuchBucket") {
    return S3Meaning{Code::kNotFound, false,
                     "there is no such bucket: check its name and endpoint"};
  }
  if (code == "RequestTimeTooSkewed") {
    return S3Meaning{Code::kUnavailable, false,
                     "its clock and this node's differ by over 15 minutes: set this node's"};
  }
  if (code == kArchived) {
    return S3Meaning{Code::kFailedPrecondition, false,
                     "the object is archived: restore it to a storage class that can be read"};
  }
  constexpr std::array kBusy = {"SlowDown", "RequestTimeout", "InternalError",
                                "ServiceUnavailable"};
  if (std::ranges::find(kBusy, code) != kBusy.end()) {
    return S3Meaning{Code::kUnavailable, false, "it asks for fewer requests, or has trouble"};
  }
  return std::nullopt;
}

S3Meaning MeaningOfStatus(int status, bool with_keys) {
  if ((status == 401 || status == 403) && with_keys) {
    return {Code::kPermissionDenied, true,
            "these keys may not read it, or it doesn't exist: their policy needs s3:ListBucket and "
            "s3:GetObject there"};
  }
  if (status == 401 || status == 403) {
    return {Code::kUnauthenticated, true,
            "it is not public: give keys that may read it (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the secret)"};
  }
  if (status == 404 || status == 410) return {Code::kNotFound, false, "it isn't there"};
  if (status == 412) return {Code::kOutOfRange, false, "the object changed since it was listed"};
  if (IsPassing(status))
    return {Code::kUnavailable, false, "it asks for fewer requests, or has trouble"};
  if (status >= 300 && status < 400) {
    return {Code::kFailedPrecondition, false,
            "it sends elsewhere without saying which region that is: name the region (AWS_REGION "
            "in the secret, or sources.s3.region)"};
  }
  return {Code::kFailedPrecondition, false, "it refuses the request"};
}

}  // namespace

Result<S3Page> ParseS3Page(std::string_view xml) {
  if (HasTooManyNodes(xml)) {
    return Fail(Code::kInvalidArgument,
                "the bucket's list has more in it than a page holds: refused");
  }
  pugi::xml_document document;
  pugi::xml_node root = ParseRoot(document, xml, "ListBucketResult");
  if (!root) {
    return Fail(Code::kUnavailable,
                fmt::format("the answer is no list of a bucket (a proxy's page?): {}",
                            Printable(Trim(xml), 80)));
  }
  S3Page page;
  bool encoded = TextOf(root, "EncodingType") == "url";
  for (const pugi::xml_node& child : root.children()) {
    if (LocalName(child) == "Contents") TRY(AppendObject(child, encoded, page.objects));
  }
  if (TextOf(root, "IsTruncated") != "true") return page;
  page.next = TextOf(root, "NextContinuationToken");
  if (page.next->empty() || page.next->size() > kMaxTokenBytes) {
    return Fail(Code::kInvalidArgument,
                "the bucket's list goes on without saying where: is its service one that lists by "
                "ListObjectsV2?");
  }
  return page;
}

S3ErrorBody ParseS3Error(std::string_view xml) {
  pugi::xml_document document;
  pugi::xml_node root = ParseRoot(document, xml, "Error");
  // STS puts it into an envelope.
  if (!root) root = Child(ParseRoot(document, xml, "ErrorResponse"), "Error");
  return {.code = Printable(TextOf(root, "Code"), 100),
          .message = Printable(TextOf(root, "Message"), 300),
          .region = Printable(TextOf(root, "Region"), 100)};
}

bool IsArchived(const HttpResponse& response) {
  return response.status() == 403 && ParseS3Error(response.body).code == kArchived;
}

std::optional<ContentChecksum> S3ChecksumOf(const HttpHeaders& headers) {
  if (headers.Find("x-amz-checksum-type") == "COMPOSITE") return std::nullopt;
  using enum ContentChecksum::Kind;
  for (ContentChecksum::Kind kind : {kSha256, kCrc64Nvme, kCrc32c}) {
    // A composite one ends with `-` and the number of parts, which base64 doesn't have.
    auto checksum = ContentChecksum::FromBase64(
        kind, headers.Find(fmt::format("x-amz-checksum-{}", ChecksumKindName(kind))));
    if (checksum) return checksum;
  }
  return std::nullopt;
}

Error S3Failure(const HttpResponse& response, const S3Question& question,
                std::chrono::system_clock::time_point now) {
  S3ErrorBody body = ParseS3Error(response.body);
  std::optional<S3Meaning> named = MeaningOfCode(body.code);
  S3Meaning meaning =
      named ? *std::move(named) : MeaningOfStatus(response.status(), question.with_keys);
  std::string said;
  if (!body.code.empty()) {
    said = "; it says: " +
           WithoutSecrets(fmt::format("{}: {}", body.code, body.message), "", question.headers);
  }
  Error error{.code = meaning.code,
              .message = fmt::format("{}: {} (HTTP {}){}", Printable(question.subject),
                                     meaning.text, response.status(), said),
              .rights_may_help = meaning.rights_may_help};
  if (error.code == Code::kUnavailable) error.retry_after = RetryDelay(response.headers, now);
  return error;
}

}  // namespace weighhouse::source
