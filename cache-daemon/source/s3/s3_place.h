#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/model.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {

/// How a bucket is named in a URL.
enum class S3Addressing {
  kAuto,     ///< as kVirtual at AWS where a certificate can fit the bucket's name, else as kPath
  kPath,     ///< https://endpoint/bucket/key
  kVirtual,  ///< https://bucket.endpoint/key
};

/// A bucket, or what lies in one below a prefix.
struct BucketPath {
  std::string bucket;
  std::string path;  ///< without slashes at the end; empty: the whole bucket

  /// Of a reference's URI, `s3://bucket/path` or `gs://…`, which Parse let through.
  static BucketPath Of(const ModelReference& reference);
  /// What the keys of everything below begin with: the path and a slash, or nothing.
  std::string Prefix() const { return path.empty() ? "" : path + "/"; }
  /// The last component of the path.
  std::string Name() const { return path.substr(path.rfind('/') + 1); }
};

/// A bucket at AWS, or at a service that speaks its protocol.
struct S3Place {
  std::optional<Url> endpoint;  ///< nothing: AWS itself
  S3Addressing addressing = S3Addressing::kAuto;
  std::string bucket;
  /// Whose bucket that is, where its name means others to others (Ceph has a namespace for each
  /// tenant): what stands for the account. Empty: the name means the same for all.
  std::string account = {};

  /// The URL of `key` (raw octets; empty: of the bucket) with `query`, which is encoded already, as
  /// the service's part in `region` serves it.
  Result<Url> UrlOf(std::string_view region, std::string_view key, std::string_view query) const;
  /// `s3+https://endpoint[#account]/bucket/`, the same in all regions of AWS' partition: buckets'
  /// names are.
  std::string Origin(std::string_view region) const;
};

/// The region that AWS' partition of `region` is asked by, where `region` itself is none: `first`,
/// if that is one of it. (Elsewhere a bucket of that name is another.)
std::string FallbackRegion(std::string_view region, const std::string& first);

}  // namespace weighhouse::source
