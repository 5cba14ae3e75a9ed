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

/// What GCS says of one version of an object.
struct GcsObject {
  std::string name;  ///< raw octets
  Bytes size = 0;
  std::string generation;                 ///< decimal
  std::optional<ContentChecksum> crc32c;  ///< of what is stored, as `size` is
  bool is_gzip = false;  ///< it is stored so, and unpacked for who doesn't say gzip
};

struct GcsPage {
  std::vector<GcsObject> objects;  ///< those whose name ends with a slash left out
  std::string next;                ///< the next page's token; empty: this was the last
};

/// One page of `GET /storage/v1/b/{bucket}/o` (cloud.google.com/storage/docs/json_api).
/// kUnavailable for what is no JSON object, or nests or holds more than an answer of GCS does;
/// kInvalidArgument for an object without a name of at most 1024 octets, size or generation.
Result<GcsPage> ParseGcsPage(std::string_view json);
/// One object's metadata; errors as ParseGcsPage's.
Result<GcsObject> ParseGcsObject(std::string_view json);

/// What an answer other than success means; `subject` is gs://bucket/name. `authorization`: the
/// headers that it was asked with, empty for anybody; what they hold isn't repeated.
Error GcsFailure(const HttpResponse& response, std::string_view subject,
                 const std::vector<std::string>& authorization,
                 std::chrono::system_clock::time_point now);

}  // namespace weighhouse::source
