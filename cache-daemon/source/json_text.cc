#include "cache-daemon/source/json_text.h"

#include <nlohmann/json.hpp>

namespace weighhouse::source {
namespace {

constexpr int kMaxNesting = 64;

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

std::string TextAt(const nlohmann::json& value, const char* key) {
  if (!value.is_object()) return "";
  auto found = value.find(key);
  const std::string* text = found == value.end() ? nullptr : found->get_ptr<const std::string*>();
  return text == nullptr ? "" : *text;
}

std::optional<Bytes> SizeAt(const nlohmann::json& value, const char* key) {
  if (!value.is_object()) return std::nullopt;
  auto found = value.find(key);
  if (found == value.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<Bytes>();
}

}  // namespace weighhouse::source
