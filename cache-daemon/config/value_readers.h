#pragma once

#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "cache-daemon/config/config.h"

namespace weighhouse::config {

// How values are read: each takes `value` into `out` and says true, or changes nothing.

/// The one scalar of `value`, or nothing.
std::optional<std::string_view> Scalar(const ConfigValue& value);

bool TakeBytes(const ConfigValue& value, Bytes least, Bytes& out);
/// An absolute path.
bool TakePath(const ConfigValue& value, std::string& out);
/// true or false
bool TakeSwitch(const ConfigValue& value, bool& out);
/// Globs of model URIs.
bool TakePatterns(const ConfigValue& value, std::vector<std::string>& out);
/// An http(s) URL without user, query or fragment; `out` has no slash at the end.
bool TakeEndpoint(const ConfigValue& value, std::string& out);
bool TakeEndpoints(const ConfigValue& value, std::vector<std::string>& out);

template <class Number>
std::optional<Number> ToNumber(std::string_view text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

template <class Number>
bool TakeNumber(const ConfigValue& value, Number least, Number most, Number& out) {
  std::optional<std::string_view> text = Scalar(value);
  std::optional<Number> number = text ? ToNumber<Number>(*text) : std::nullopt;
  if (!number || *number < least || *number > most) return false;
  out = *number;
  return true;
}

/// A whole number with an s.
template <class Duration>
bool TakeSeconds(const ConfigValue& value, int least, int most, Duration& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text || !text->ends_with('s')) return false;
  std::optional<int> seconds = ToNumber<int>(text->substr(0, text->size() - 1));
  if (!seconds || *seconds < least || *seconds > most) return false;
  out = std::chrono::seconds(*seconds);
  return true;
}

template <class Choice>
bool TakeChoice(const ConfigValue& value, const std::map<std::string_view, Choice>& choices,
                Choice& out) {
  std::optional<std::string_view> text = Scalar(value);
  if (!text) return false;
  auto choice = choices.find(*text);
  if (choice == choices.end()) return false;
  out = choice->second;
  return true;
}

}  // namespace weighhouse::config
