#pragma once

#include <cstddef>
#include <string_view>

namespace weighhouse {

/// Length of the well-formed UTF-8 sequence (RFC 3629) at the start of `text`, which isn't empty;
/// 0 if there is none.
size_t Utf8Length(std::string_view text);

/// True for the C0 and C1 control characters and DEL, in UTF-8: a terminal obeys them, U+009B like
/// ESC [.
bool IsControl(std::string_view character);

}  // namespace weighhouse
