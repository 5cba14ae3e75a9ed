#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/source/http_client.h"

namespace weighhouse::source {

/// An object of a listing; the key as raw octets, decoded.
struct S3Object {
  std::string key;
  Bytes size = 0;
  std::string etag;  ///< as it came, quotes included
};

struct S3Page {
  std::vector<S3Object> objects;    ///< those whose key ends with a slash, which stand for
                                    ///< directories, left out
  std::optional<std::string> next;  ///< where the next page begins
};

/// One page of ListObjectsV2 (docs.aws.amazon.com, API_ListObjectsV2), whatever the namespace its
/// elements are in. kUnavailable for what is no such document (a proxy's login page);
/// kInvalidArgument for an object without key, size or ETag, with an impossible size, an
/// overlong or undecodable key or ETag, for more elements than a page of a thousand objects has,
/// and for a page that says there are more without saying where.
Result<S3Page> ParseS3Page(std::string_view xml);

/// `<Error>` of an answer's body; empty where it is none.
struct S3ErrorBody {
  std::string code, message, region;
};
S3ErrorBody ParseS3Error(std::string_view xml);

/// The checksum over the whole object that the headers of a HEAD with `x-amz-checksum-mode:
/// ENABLED` give: sha256, else crc64nvme, else crc32c. One over the parts' checksums is none.
std::optional<ContentChecksum> S3ChecksumOf(const HttpHeaders& headers);

/// The refusal of an object that must be restored from an archive first.
bool IsArchived(const HttpResponse& response);

/// What a failure is about, for its message.
struct S3Question {
  std::string subject;               ///< s3://bucket/key
  bool with_keys = false;            ///< it was asked with credentials
  std::vector<std::string> headers;  ///< that it was signed with: what they hold isn't repeated
};

/// What an answer other than success means.
Error S3Failure(const HttpResponse& response, const S3Question& question,
                std::chrono::system_clock::time_point now);

}  // namespace weighhouse::source
