#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/s3/s3_source.h"
#include "test/cache-daemon/source/scripted_server.h"
#include "test/support/loopback_policy.h"

namespace weighhouse::source {

inline constexpr const char* kEtagHeader = "ETag: \"e1\"";

inline std::string Listed(const std::vector<std::string>& keys, const std::string& more = "",
                          size_t size = 5) {
  std::string xml = "<ListBucketResult>" + more;
  for (const std::string& key : keys) {
    xml += fmt::format("<Contents><Key>{}</Key><Size>{}</Size><ETag>\"e1\"</ETag></Contents>", key,
                       size);
  }
  return HttpAnswer(200, {}, xml + "</ListBucketResult>");
}

/// What HEAD answers of an object of five bytes.
inline std::string Head(std::vector<std::string> headers) {
  std::string text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n";
  for (const std::string& header : headers) text += header + "\r\n";
  return text + "\r\n";
}

/// What a GET of the first byte answers of an object of five.
inline std::string FirstByte() { return HttpAnswer(206, {"Content-Range: bytes 0-0/5"}, "x"); }

inline std::string Refused(int status, const std::string& code, const std::string& more = "") {
  return HttpAnswer(status, {}, fmt::format("<Error><Code>{}</Code>{}</Error>", code, more));
}

inline bool IsList(const ScriptedServer::Request& request) {
  return request.target.contains("list-type=2");
}

/// A source of one endpoint, and a caller of it.
class S3Caller {
 public:
  explicit S3Caller(const ScriptedServer& server,
                    std::shared_ptr<AwsNodeKeys> node_keys = nullptr) {
    auto http = std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()});
    S3Settings settings;
    settings.endpoint = Url::Parse(server.Url("")).value();
    settings.secret_digest = [](std::string_view secret) {
      return "digest-of-" + std::string(secret);
    };
    source_ = std::make_unique<S3Source>(settings, std::make_shared<S3Client>(http), http,
                                         std::move(node_keys));
  }
  Result<Listing> Resolve(const std::string& uri) {
    return source_->Resolve({.uri = uri}, credentials, {});
  }
  /// The rights to all of it, or to what `patterns` leave.
  Result<bool> ShowRights(const std::string& uri,
                          std::optional<std::vector<std::string>> patterns = {}) {
    ModelReference reference{.uri = uri, .allow_patterns = std::move(patterns)};
    Result<Listing> listing = source_->Resolve(reference, credentials, {});
    if (listing) listing = ApplyPatterns(*listing, reference);
    if (!listing) return std::unexpected(std::move(listing).error());
    return source_->ShowRights(reference, credentials, *listing, {});
  }
  std::string OriginFor(const std::string& uri) const {
    return source_->OriginFor({.uri = uri}, credentials);
  }
  Result<FileLocation> Locate(const std::string& uri, const Listing& listing) {
    return source_->Locate({.uri = uri}, listing, listing.files.at(0), credentials, {});
  }
  Credentials credentials{{{"AWS_ACCESS_KEY_ID", "AKIA1"}, {"AWS_SECRET_ACCESS_KEY", "secret"}}};

 private:
  std::unique_ptr<S3Source> source_;
};

inline std::shared_ptr<AwsNodeKeys> NodeKeys() {
  return std::make_shared<AwsNodeKeys>(
      std::make_shared<HttpClient>(HttpClientOptions{.policy = LoopbackPolicy()}),
      [](const char* name) {
        std::string_view asked = name;
        if (asked == "AWS_ACCESS_KEY_ID") return "AKIANODE";
        return asked == "AWS_SECRET_ACCESS_KEY" ? "node" : "";
      },
      "us-east-1");
}

}  // namespace weighhouse::source
