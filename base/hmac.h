#pragma once

#include <string_view>

#include "base/digest.h"

namespace weighhouse {

/// HMAC-SHA256 (RFC 2104, FIPS 198-1) of `text`.
Digest HmacSha256(std::string_view key, std::string_view text);

/// Whether both are the same, in a time that depends on their sizes only.
bool EqualInConstantTime(std::string_view one, std::string_view other);

}  // namespace weighhouse
