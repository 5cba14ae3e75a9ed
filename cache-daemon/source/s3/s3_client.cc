#include "cache-daemon/source/s3/s3_client.h"

#include <algorithm>

#include <fmt/format.h>

namespace weighhouse::source {
namespace {

constexpr int kMaxRegions = 3;
constexpr size_t kMaxRemembered = 1000;

std::string_view MethodName(HttpMethod method) {
  return method == HttpMethod::kHead ? "HEAD" : "GET";
}

std::vector<std::string> Sign(const S3Access& access, const std::string& region,
                              SignedRequest request) {
  if (!access.keys) {
    std::vector<std::string> lines;
    lines.reserve(request.headers.size());
    for (const auto& [name, value] : request.headers) {
      lines.push_back(fmt::format("{}: {}", name, value));
    }
    return lines;
  }
  return SigV4Headers(std::move(request), *access.keys,
                      {.region = region, .time = std::chrono::system_clock::now()});
}

/// The region that a refusal says the bucket is in, if it says so.
std::optional<std::string> RegionNamedBy(const HttpResponse& response) {
  if (response.status() < 300) return std::nullopt;
  std::string region(response.headers.Find("x-amz-bucket-region"));
  // What a service wants of a signature is in the body of AuthorizationHeaderMalformed.
  if (region.empty()) region = ParseS3Error(response.body).region;
  if (!IsS3Region(region)) return std::nullopt;
  return region;
}

}  // namespace

bool IsS3Region(std::string_view text) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  return !text.empty() && text.size() <= 40 && std::ranges::all_of(text, allowed);
}

S3Question S3Access::QuestionAbout(const std::string& key) const {
  return {.subject = fmt::format("s3://{}{}{}", place.bucket, key.empty() ? "" : "/", key),
          .with_keys = keys.has_value()};
}

Result<S3Client::Answer> S3Client::Send(const S3Access& access, const Request& request,
                                        std::stop_token stop) {
  std::string region = RegionOf(access);
  for (int tried = 1;; ++tried) {
    Result<Answer> answer = SendTo(region, access, request, stop);
    // A made-up region isn't a service that is away. (At an endpoint it is no part of the host.)
    bool is_away = !answer && answer.error().code == Code::kUnavailable;
    if (is_away && tried == 1 && !access.place.endpoint && region != access.fallback_region) {
      Result<Answer> other = SendTo(access.fallback_region, access, request, stop);
      if (!other) return answer;  // neither has told anything of the bucket
      region = access.fallback_region;
      Remember(access, region);
      answer = std::move(other);
    }
    if (!answer) return answer;
    std::optional<std::string> named = RegionNamedBy(answer->response);
    if (!named || *named == region || tried == kMaxRegions) return answer;
    region = *std::move(named);
    Remember(access, region);
  }
}

Result<S3Client::Answer> S3Client::SendTo(const std::string& region, const S3Access& access,
                                          const Request& request, std::stop_token stop) {
  Url url = TRY(access.place.UrlOf(region, request.key, request.query));
  std::vector<std::string> signed_headers = Sign(access, region,
                                                 {.method = MethodName(request.method),
                                                  .url = url,
                                                  .headers = request.amz_headers,
                                                  .payload_sha256 = std::string(kEmptyPayload)});
  std::vector<std::string> headers = signed_headers;
  headers.insert(headers.end(), request.headers.begin(), request.headers.end());
  HttpResponse response = TRY(http_->Send({.method = request.method,
                                           .url = url.ToString(),
                                           .headers = std::move(headers),
                                           .body_limit = request.body_limit},
                                          std::move(stop)));
  return Answer{.response = std::move(response),
                .url = std::move(url),
                .signed_headers = std::move(signed_headers)};
}

Result<S3Client::SignedGet> S3Client::SignGet(const S3Access& access, const std::string& key) {
  std::string region = RegionOf(access);
  SignedGet get;
  get.url = TRY(access.place.UrlOf(region, key, ""));
  get.headers = Sign(access, region,
                     {.method = "GET",
                      .url = get.url,
                      .headers = {},
                      .payload_sha256 = std::string(kEmptyPayload)});
  return get;
}

std::string S3Client::RegionOf(const S3Access& access) {
  MutexLock lock(mutex_);
  auto found = regions_.find(access.place.Origin(access.region));
  return found == regions_.end() ? access.region : found->second;
}

void S3Client::Remember(const S3Access& access, const std::string& region) {
  MutexLock lock(mutex_);
  if (regions_.size() >= kMaxRemembered) regions_.clear();
  regions_.insert_or_assign(access.place.Origin(access.region), region);
}

}  // namespace weighhouse::source
