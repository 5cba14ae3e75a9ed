#include "cache-daemon/store/json_fields.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace weighhouse::store {
namespace {

const nlohmann::json* Field(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

}  // namespace

Result<nlohmann::json> ParseObject(std::string_view text) {
  nlohmann::json object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Fail(Code::kDataLoss, "not a JSON object");
  return object;
}

std::optional<std::string> StringField(const nlohmann::json& object, const char* name) {
  const nlohmann::json* field = Field(object, name);
  if (field == nullptr || !field->is_string()) return std::nullopt;
  return field->get<std::string>();
}

std::optional<bool> BoolField(const nlohmann::json& object, const char* name) {
  const nlohmann::json* field = Field(object, name);
  if (field == nullptr || !field->is_boolean()) return std::nullopt;
  return field->get<bool>();
}

std::optional<uint64_t> NumberField(const nlohmann::json& object, const char* name) {
  const nlohmann::json* field = Field(object, name);
  if (field == nullptr || !field->is_number_unsigned()) return std::nullopt;
  return field->get<uint64_t>();
}

const nlohmann::json* ArrayField(const nlohmann::json& object, const char* name) {
  const nlohmann::json* field = Field(object, name);
  return field != nullptr && field->is_array() ? field : nullptr;
}

std::string ToText(const nlohmann::json& object) {
  return object.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

uint64_t ToUnixSeconds(std::chrono::system_clock::time_point time) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  return static_cast<uint64_t>(std::max<int64_t>(0, seconds));
}

std::chrono::system_clock::time_point FromUnixSeconds(uint64_t seconds) {
  // Above this the clock's nanoseconds overflow.
  constexpr uint64_t kLast = 9'000'000'000;
  return std::chrono::system_clock::time_point(
      std::chrono::seconds(static_cast<int64_t>(std::min(seconds, kLast))));
}

}  // namespace weighhouse::store
