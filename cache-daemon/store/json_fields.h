#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"

namespace weighhouse::store {

// Reading the store's own JSON without exceptions: a field that is missing or of another type is
// nothing.

/// The JSON object that is `text`; kDataLoss if it is none.
Result<nlohmann::json> ParseObject(std::string_view text);
std::optional<std::string> StringField(const nlohmann::json& object, const char* name);
std::optional<bool> BoolField(const nlohmann::json& object, const char* name);
std::optional<uint64_t> NumberField(const nlohmann::json& object, const char* name);
/// The array `name`, or null.
const nlohmann::json* ArrayField(const nlohmann::json& object, const char* name);

/// For people to read, with a line feed at the end. Bytes that aren't UTF-8 become U+FFFD.
std::string ToText(const nlohmann::json& object);

/// Whole seconds since the epoch.
uint64_t ToUnixSeconds(std::chrono::system_clock::time_point time);
std::chrono::system_clock::time_point FromUnixSeconds(uint64_t seconds);

}  // namespace weighhouse::store
