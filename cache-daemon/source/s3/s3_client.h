#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/s3/s3_answers.h"
#include "cache-daemon/source/s3/s3_place.h"
#include "cache-daemon/source/s3/sigv4.h"

namespace weighhouse::source {

/// One caller's way to one bucket.
struct S3Access {
  S3Place place;
  bool of_tenants_choice = false;  ///< the credentials name the service
  bool is_elsewhere = false;       ///< and it is another than the configured one
  std::string region;              ///< to begin with; the service may name another
  /// Asked where nobody answers in `region`: what the caller named need not be there.
  std::string fallback_region = {};
  std::optional<AwsKeys> keys;  ///< nothing: unsigned requests
  /// When `keys` end.
  std::chrono::steady_clock::time_point keys_end = std::chrono::steady_clock::time_point::max();
  bool of_node = false;  ///< `keys` aren't the caller's own: what they may read is for all tenants

  /// Whoever asks has this way: without keys, or with ones that are every tenant's.
  bool IsEverybodys() const { return !keys || of_node; }
  /// `s3://bucket/key` and what else a message about it needs.
  S3Question QuestionAbout(const std::string& key) const;
};

/// Sends signed requests to buckets and finds the region that a bucket is in, which it remembers.
/// Thread-safe.
class S3Client {
 public:
  explicit S3Client(std::shared_ptr<HttpClient> http) : http_(std::move(http)) {}

  struct Request {
    HttpMethod method = HttpMethod::kGet;
    std::string key;    ///< raw octets; empty: the bucket
    std::string query;  ///< encoded
    std::vector<std::pair<std::string, std::string>> amz_headers;  ///< signed; lower-case names
    std::vector<std::string> headers;                              ///< lines, not signed
    Bytes body_limit = kMiB;
  };
  struct Answer {
    HttpResponse response;
    Url url;
    std::vector<std::string> signed_headers;
  };
  /// The bucket's answer, whatever its status, at the third region at last. Errors:
  /// HttpClient::Send's, kUnavailable only if nobody answers at a region that there is;
  /// kInvalidArgument for names that give no URL.
  Result<Answer> Send(const S3Access& access, const Request& request, std::stop_token stop)
      EXCLUDES(mutex_);

  struct SignedGet {
    Url url;
    std::vector<std::string> headers;
  };
  /// What GETs of the object, or of any part of it, are sent with, for 15 minutes from now.
  Result<SignedGet> SignGet(const S3Access& access, const std::string& key) EXCLUDES(mutex_);

 private:
  /// One request, to the bucket as `region` has it.
  Result<Answer> SendTo(const std::string& region, const S3Access& access, const Request& request,
                        std::stop_token stop);
  std::string RegionOf(const S3Access& access) EXCLUDES(mutex_);
  void Remember(const S3Access& access, const std::string& region) EXCLUDES(mutex_);

  const std::shared_ptr<HttpClient> http_;  // shared with the other sources: connections are
  Mutex mutex_;
  std::map<std::string, std::string> regions_ GUARDED_BY(mutex_);  ///< by S3Place::Origin
};

/// Lower-case letters, digits and hyphens: it becomes part of a host's name.
bool IsS3Region(std::string_view text);

}  // namespace weighhouse::source
