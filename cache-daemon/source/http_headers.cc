#include "cache-daemon/source/http_headers.h"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace weighhouse::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kLongestDelay{3600};
constexpr time_t kLastDate = 4'102'444'800;  // 2100-01-01

milliseconds Bounded(uint64_t delay_seconds) {
  return seconds(std::min<uint64_t>(delay_seconds, kLongestDelay.count()));
}

/// The number of parameter `name` in `"resolvers";r=0;t=166`.
std::optional<uint64_t> Parameter(std::string_view item, std::string_view name) {
  for (const std::string& part : SplitAndTrim(item, ';')) {
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') {
      return ParseNumber(std::string_view(part).substr(name.size() + 1));
    }
  }
  return std::nullopt;
}

/// The longest wait among the exhausted buckets of a RateLimit header.
std::optional<milliseconds> RateLimitDelay(std::string_view rate_limit) {
  std::optional<milliseconds> longest;
  for (const std::string& item : SplitAndTrim(rate_limit, ',')) {
    auto remaining = Parameter(item, "r"), reset = Parameter(item, "t");
    if (remaining != 0 || !reset) continue;
    milliseconds delay = Bounded(std::min<uint64_t>(*reset, 1'000'000) + 1);
    longest = std::max(longest.value_or(delay), delay);
  }
  return longest;
}

/// The quota of the policy that has the name of `item` (its first quoted part), else of the only
/// one.
std::optional<uint64_t> QuotaOf(std::string_view item, std::string_view policies) {
  std::vector<std::string> each = SplitAndTrim(policies, ',');
  std::string name(item.substr(0, item.find(';')));
  for (const std::string& policy : each) {
    if (each.size() == 1 || policy.contains(name)) return Parameter(policy, "q");
  }
  return std::nullopt;
}

/// True if one link's parameters (`; rel="next"; …`) say that it is the next page.
bool IsNext(std::string_view parameters) {
  for (const std::string& each : SplitAndTrim(parameters, ';')) {
    size_t equals = each.find('=');
    if (equals == std::string::npos || ToLower(Trim(each.substr(0, equals))) != "rel") continue;
    std::string value(Trim(std::string_view(each).substr(equals + 1)));
    std::erase_if(value, [](char c) { return c == '"' || c == ','; });
    for (const std::string& relation : SplitAndTrim(value, ' ')) {
      if (ToLower(relation) == "next") return true;
    }
  }
  return false;
}

}  // namespace

bool HttpHeaders::AddLine(std::string_view line) {
  if (line.starts_with("HTTP/")) {
    // Interim answers count together: there may be any number of them.
    size_t bytes = bytes_ + line.size();
    *this = HttpHeaders();
    bytes_ = bytes;
    size_t space = line.find(' ');
    if (space != std::string_view::npos) {
      status_ = static_cast<int>(ParseNumber(line.substr(space + 1, 3)).value_or(0));
    }
    return bytes_ <= kMaxBytes;
  }
  size_t colon = line.find(':');
  bytes_ += line.size();
  if (bytes_ > kMaxBytes || fields_.size() >= kMaxFields) return false;
  if (colon == std::string_view::npos || colon == 0 || line[0] == ' ' || line[0] == '\t')
    return true;
  std::string name = ToLower(Trim(line.substr(0, colon)));
  std::string value(Trim(line.substr(colon + 1)));
  auto same = std::ranges::find(fields_, name, &NamedValue::name);
  if (same == fields_.end()) {
    fields_.push_back({std::move(name), std::move(value)});
  } else {
    same->value += ", " + value;
  }
  return true;
}

const HttpHeaders::NamedValue* HttpHeaders::Field(std::string_view name) const {
  auto found = std::ranges::find(fields_, name, &NamedValue::name);
  return found == fields_.end() ? nullptr : &*found;
}

std::string_view HttpHeaders::Find(std::string_view name) const {
  const NamedValue* field = Field(name);
  return field == nullptr ? std::string_view() : field->value;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::chrono::system_clock::time_point> ParseHttpDate(std::string_view text) {
  struct tm parts = {};
  std::string copy(text);
  const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  // The clock's nanoseconds don't reach as far as four digits of a year.
  return std::chrono::system_clock::from_time_t(std::clamp<time_t>(timegm(&parts), 0, kLastDate));
}

std::optional<RateLimit> ParseRateLimit(const HttpHeaders& headers) {
  std::optional<RateLimit> least;
  for (const std::string& item : SplitAndTrim(headers.Find("ratelimit"), ',')) {
    auto remaining = Parameter(item, "r"), reset = Parameter(item, "t");
    if (!remaining || !reset || (least && least->remaining <= *remaining)) continue;
    least = RateLimit{.remaining = *remaining,
                      .reset = std::chrono::duration_cast<seconds>(Bounded(*reset)),
                      .quota = QuotaOf(item, headers.Find("ratelimit-policy"))};
  }
  return least;
}

std::optional<milliseconds> RetryDelay(const HttpHeaders& headers,
                                       std::chrono::system_clock::time_point now) {
  if (auto delay = RateLimitDelay(headers.Find("ratelimit"))) return delay;
  std::string_view retry_after = headers.Find("retry-after");
  if (auto number = ParseNumber(retry_after)) return Bounded(*number);
  auto date = ParseHttpDate(retry_after);
  if (!date) return std::nullopt;
  auto delay = std::chrono::ceil<seconds>(*date - now);
  return Bounded(delay.count() > 0 ? static_cast<uint64_t>(delay.count()) : 0);
}

std::optional<ContentRange> ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!ToLower(text).starts_with(kUnit)) return std::nullopt;
  text = Trim(text.substr(kUnit.size()));
  size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) {
    return std::nullopt;
  }
  auto first = ParseNumber(text.substr(0, dash));
  auto last = ParseNumber(text.substr(dash + 1, slash - dash - 1));
  std::string_view total_text = text.substr(slash + 1);
  auto total = ParseNumber(total_text);
  if (!first || !last || *last < *first || *last == UINT64_MAX) return std::nullopt;
  if (!total && total_text != "*") return std::nullopt;
  if (total && *last >= *total) return std::nullopt;
  return ContentRange{.range = {*first, *last + 1}, .total = total};
}

std::optional<Bytes> WholeSize(const HttpHeaders& headers) {
  if (headers.status() != 206) return ParseNumber(headers.Find("content-length"));
  auto range = ParseContentRange(headers.Find("content-range"));
  return range ? range->total : std::nullopt;
}

std::optional<std::string> NextLink(std::string_view link) {
  while (true) {
    size_t open = link.find('<'), close = link.find('>');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
      return std::nullopt;
    }
    std::string_view target = link.substr(open + 1, close - open - 1);
    link.remove_prefix(close + 1);
    if (IsNext(link.substr(0, link.find('<')))) return std::string(target);
  }
}

std::string_view UnquoteEtag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return etag;
}

}  // namespace weighhouse::source
