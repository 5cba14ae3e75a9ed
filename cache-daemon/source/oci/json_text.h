#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/units.h"

namespace weighhouse::source::oci {

/// `text` as a JSON object; nothing for anything else, and for what is nested deeper than any
/// document of a registry. Never throws.
std::optional<nlohmann::json> ParseObject(std::string_view text);

/// The string at `key` of `object`, "" if there is none.
std::string TextAt(const nlohmann::json& object, const char* key);

/// The whole number, not negative, at `key` of `object`.
std::optional<uint64_t> NumberAt(const nlohmann::json& object, const char* key);

/// The value at `key` of `object`; null if there is none.
const nlohmann::json* ValueAt(const nlohmann::json& object, const char* key);

}  // namespace weighhouse::source::oci
