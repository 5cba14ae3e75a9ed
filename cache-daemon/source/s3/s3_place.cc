#include "cache-daemon/source/s3/s3_place.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

/// AWS' partitions have domains of their own, and accounts and buckets' names too.
std::string_view DomainOf(std::string_view region) {
  return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

/// Whether `*.s3.region.amazonaws.com` covers the bucket: a certificate's star is one label, and
/// names of hosts have no upper case.
bool IsOneLabel(std::string_view bucket) {
  return std::ranges::all_of(
      bucket, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

BucketPath BucketPath::Of(const ModelReference& reference) {
  std::string_view rest = std::string_view(reference.uri).substr(reference.uri.find("://") + 3);
  size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return {.bucket = std::string(rest), .path = ""};
  return {.bucket = std::string(rest.substr(0, slash)),
          .path = std::string(rest.substr(slash + 1))};
}

Result<Url> S3Place::UrlOf(std::string_view region, std::string_view key,
                           std::string_view query) const {
  bool by_host = addressing == S3Addressing::kVirtual ||
                 (addressing == S3Addressing::kAuto && !endpoint && IsOneLabel(bucket));
  std::string scheme = "https", path;
  std::string host = fmt::format("s3.{}.{}", region, DomainOf(region));
  if (endpoint) {
    scheme = endpoint->scheme;
    host = endpoint->Origin().substr(scheme.size() + 3);
    if (endpoint->path != "/") path = endpoint->path;
  }
  if (by_host) {
    host = fmt::format("{}.{}", bucket, host);
  } else {
    path += "/" + PercentEncode(bucket);
  }
  // Without a slash for the bucket itself, as other clients: some services sign no other path.
  if (!key.empty()) path += "/" + PercentEncode(key, "/");
  std::string text = fmt::format("{}://{}{}", scheme, host, path);
  return Url::Parse(query.empty() ? text : fmt::format("{}?{}", text, query));
}

std::string S3Place::Origin(std::string_view region) const {
  std::string where = endpoint ? endpoint->Origin() + (endpoint->path == "/" ? "" : endpoint->path)
                               : fmt::format("https://s3.{}", DomainOf(region));
  return fmt::format("s3+{}/{}/", where, bucket);
}

}  // namespace weighhouse::source
