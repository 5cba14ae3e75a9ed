#include "cache-daemon/source/json_text.h"

#include <cstddef>

#include <nlohmann/json.hpp>

namespace weighhouse::source {
namespace {

constexpr int kMaxNesting = 64;
constexpr std::ptrdiff_t kMaxValues = 100'000;

/// By the commas and brackets that values can't do without, those in strings not counted.
bool HasTooManyValues(std::string_view json) {
  std::ptrdiff_t values = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (in_string && json[i] == '\\')
      ++i;
    else if (json[i] == '"')
      in_string = !in_string;
    else if (!in_string && std::string_view(",[{").contains(json[i]))
      ++values;
  }
  return values > kMaxValues;
}

}  // namespace

bool IsTooDeep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxNesting) return true;
  }
  return false;
}

std::optional<nlohmann::json> ParseObject(std::string_view text) {
  if (IsTooDeep(text) || HasTooManyValues(text)) return std::nullopt;
  nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return std::nullopt;
  return parsed;
}

const nlohmann::json* ValueAt(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string TextAt(const nlohmann::json& value, const char* key) {
  const nlohmann::json* at = ValueAt(value, key);
  const std::string* text = at == nullptr ? nullptr : at->get_ptr<const std::string*>();
  return text == nullptr ? "" : *text;
}

std::optional<Bytes> SizeAt(const nlohmann::json& value, const char* key) {
  const nlohmann::json* at = ValueAt(value, key);
  if (at == nullptr || !at->is_number_unsigned()) return std::nullopt;
  return at->get<Bytes>();
}

}  // namespace weighhouse::source
