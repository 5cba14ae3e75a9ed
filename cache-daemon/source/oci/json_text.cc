#include "cache-daemon/source/oci/json_text.h"

#include <nlohmann/json.hpp>

namespace weighhouse::source::oci {
namespace {

using Json = nlohmann::json;

constexpr int kDeepest = 16;

}  // namespace

std::optional<Json> ParseObject(std::string_view text) {
  // The parser's depth follows its input's: it stops taking what is deeper, and so does its memory.
  bool too_deep = false;
  auto filter = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kDeepest;
    return !too_deep;
  };
  Json parsed = Json::parse(text, filter, /*allow_exceptions=*/false);
  if (too_deep || !parsed.is_object()) return std::nullopt;
  return parsed;
}

const Json* ValueAt(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string TextAt(const Json& object, const char* key) {
  const Json* value = ValueAt(object, key);
  const std::string* text = value == nullptr ? nullptr : value->get_ptr<const std::string*>();
  return text == nullptr ? "" : *text;
}

std::optional<uint64_t> NumberAt(const Json& object, const char* key) {
  const Json* value = ValueAt(object, key);
  if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
  return value->get<uint64_t>();
}

}  // namespace weighhouse::source::oci
