#include "cache-daemon/source/signed_url.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/ranges.h>

#include "base/text.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::system_clock;
using TimePoint = system_clock::time_point;

/// Later dates than any signature's, and far from overflow: 2100-01-01 and a year.
constexpr uint64_t kLastEpoch = 4'102'444'800;
constexpr uint64_t kLongestLife = 366ULL * 24 * 3600;

std::optional<uint64_t> NumberAt(const Url& url, std::string_view name, uint64_t largest) {
  auto value = url.QueryValue(name);
  auto number = value ? ParseNumber(*value) : std::nullopt;
  if (number && *number > largest) return std::nullopt;
  return number;
}

/// `20251202T191251Z`
std::optional<TimePoint> BasicDateAt(const Url& url, std::string_view name) {
  auto value = url.QueryValue(name);
  if (!value) return std::nullopt;
  struct tm parts = {};
  const char* end = strptime(value->c_str(), "%Y%m%dT%H%M%SZ", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  // The clock's nanoseconds don't reach as far as four digits of a year.
  constexpr auto kLast = static_cast<time_t>(kLastEpoch);
  return system_clock::from_time_t(std::clamp<time_t>(timegm(&parts), 0, kLast));
}

/// Moves `earliest` to `expiry` if that is earlier.
void TakeEarlier(TimePoint& earliest, std::optional<TimePoint> expiry) {
  if (expiry) earliest = std::min(earliest, *expiry);
}

/// Parameters of S3's and GCS' signatures begin with X-Amz- and X-Goog-; the others are
/// CloudFront's, Azure's (shared access signatures) and tokens.
bool IsOfASignature(std::string_view name) {
  constexpr std::array kNames = {
      "Signature", "Expires", "Key-Pair-Id", "Policy", "token", "sig", "se",    "sp",    "sv",
      "sr",        "st",      "spr",         "sip",    "si",    "ss",  "srt",   "sdd",   "ses",
      "skoid",     "sktid",   "skt",         "ske",    "sks",   "skv", "saoid", "suoid", "scid"};
  bool cloud = name.starts_with("X-Amz-") || name.starts_with("X-Goog-") || name.starts_with("OSS");
  return cloud || std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace

bool IsSigned(const Url& url) {
  constexpr std::array kSignatures = {
      "X-Amz-Signature", "X-Goog-Signature", "Signature", "sig", "Policy", "token"};
  return std::ranges::any_of(kSignatures,
                             [&](const char* name) { return url.QueryValue(name).has_value(); });
}

std::string UnsignedQuery(const Url& url) {
  std::vector<std::string> kept;
  for (std::string& parameter : SplitAndTrim(url.query, '&')) {
    if (!IsOfASignature(parameter.substr(0, parameter.find('=')))) {
      kept.push_back(std::move(parameter));
    }
  }
  std::ranges::sort(kept);
  return fmt::format("{}", fmt::join(kept, "&"));
}

TimePoint SignedUrlExpiry(const Url& url, TimePoint now) {
  const TimePoint longest = now + minutes(50);
  TimePoint expiry = longest, by_life = longest;
  if (auto epoch = NumberAt(url, "Expires", kLastEpoch)) {
    TakeEarlier(expiry, TimePoint(seconds(*epoch)));
  }
  for (std::string prefix : {"X-Amz-", "X-Goog-"}) {
    auto life = NumberAt(url, prefix + "Expires", kLongestLife);
    auto begin = BasicDateAt(url, prefix + "Date");
    if (life) TakeEarlier(by_life, now + seconds(*life));
    if (life && begin) TakeEarlier(expiry, *begin + seconds(*life));
  }
  if (expiry <= now) expiry = by_life;
  auto left = expiry - now;
  return expiry - std::min<system_clock::duration>(minutes(5), left / 10);
}

std::chrono::steady_clock::time_point SignedUrlDeadline(const Url& url) {
  TimePoint now = system_clock::now();
  return std::chrono::steady_clock::now() + (SignedUrlExpiry(url, now) - now);
}

}  // namespace weighhouse::source
