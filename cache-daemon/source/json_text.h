#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/units.h"

namespace weighhouse::source {

/// Whether `json` nests deeper than any answer of a source does; a parser's memory grows with it.
bool IsTooDeep(std::string_view json);

/// `text` as a JSON object; nothing for anything else, for what is too deep, and for more than
/// 100,000 values: a parser takes many times the bytes of each. Never throws.
std::optional<nlohmann::json> ParseObject(std::string_view text);

/// The value at `key` of `object`; null if there is none, or if `object` is none.
const nlohmann::json* ValueAt(const nlohmann::json& object, const char* key);

/// The string at `key` of `value`; "" if there is none, or if `value` is no object.
std::string TextAt(const nlohmann::json& value, const char* key);

/// The number at `key`; nothing if there is none, or if it is negative or broken.
std::optional<Bytes> SizeAt(const nlohmann::json& value, const char* key);

}  // namespace weighhouse::source
