#include "cache-daemon/config/value_readers.h"

#include <algorithm>
#include <utility>

#include "cache-daemon/source/file_filter.h"

namespace weighhouse::config {

std::optional<std::string_view> Scalar(const ConfigValue& value) {
  if (value.is_list) return std::nullopt;
  return value.items.front();
}

bool TakeBytes(const ConfigValue& value, Bytes least, Bytes& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  Result<Bytes> bytes = ParseBytes(*text);
  if (!bytes || *bytes < least) return false;
  out = *bytes;
  return true;
}

bool TakePath(const ConfigValue& value, std::string& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text || !text->starts_with('/')) return false;
  out = *text;
  return true;
}

bool TakeSwitch(const ConfigValue& value, bool& out) {
  return TakeChoice<bool>(value, {{"true", true}, {"false", false}}, out);
}

bool TakePatterns(const ConfigValue& value, std::vector<std::string>& out) {
  if (!value.is_list || value.items.size() > source::kMaxPatterns) return false;
  bool usable = std::ranges::all_of(value.items, [](const std::string& pattern) {
    bool names_scheme = pattern == "*" || pattern.contains("://");
    return names_scheme && pattern.size() <= source::kMaxPatternBytes;
  });
  if (usable) out = value.items;
  return usable;
}

bool TakeEndpoint(const ConfigValue& value, std::string& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  size_t host = text->starts_with("https://") ? 8 : text->starts_with("http://") ? 7 : text->size();
  if (host >= text->size() || text->substr(host).find_first_of("@?# ") != std::string_view::npos)
    return false;
  while (text->ends_with('/')) text->remove_suffix(1);
  out = *text;
  return true;
}

bool TakeEndpoints(const ConfigValue& value, std::vector<std::string>& out) {
  constexpr size_t kMostEndpoints = 10;
  if (!value.is_list || value.items.size() > kMostEndpoints) return false;
  std::vector<std::string> endpoints(value.items.size());
  for (size_t i = 0; i < endpoints.size(); ++i) {
    if (!TakeEndpoint({.items = {value.items[i]}}, endpoints[i])) return false;
  }
  out = std::move(endpoints);
  return true;
}

}  // namespace weighhouse::config
