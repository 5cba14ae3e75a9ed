#include "cache-daemon/source/s3/s3_place.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

/// AWS' partitions have accounts and buckets' names of their own, and some a domain.
struct Partition {
  std::string_view regions;  ///< what their names begin with
  std::string_view name;     ///< in origins
  std::string_view domain;
  std::string_view region;  ///< one that there is
};
constexpr Partition kPartitions[] = {
    {"cn-", "s3.amazonaws.com.cn", "amazonaws.com.cn", "cn-north-1"},
    {"us-gov-", "s3.us-gov.amazonaws.com", "amazonaws.com", "us-gov-west-1"},
    {"", "s3.amazonaws.com", "amazonaws.com", "us-east-1"}};

const Partition& PartitionOf(std::string_view region) {
  return *std::ranges::find_if(
      kPartitions, [&](const Partition& each) { return region.starts_with(each.regions); });
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
  std::string host = fmt::format("s3.{}.{}", region, PartitionOf(region).domain);
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
                               : fmt::format("https://{}", PartitionOf(region).name);
  // No endpoint has a '#' in it.
  if (!account.empty()) where += "#" + account;
  return fmt::format("s3+{}/{}/", where, bucket);
}

std::string FallbackRegion(std::string_view region, const std::string& first) {
  const Partition& partition = PartitionOf(region);
  return &PartitionOf(first) == &partition ? first : std::string(partition.region);
}

}  // namespace weighhouse::source
