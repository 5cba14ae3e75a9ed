#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// Where each file has rights of its own, so that no sample of them tells of the others: calls
/// `read_byte` with every file that has bytes, at most 16 at a time, and returns the first error.
Result<> ReadEach(const std::vector<ListedFile>& files, std::stop_token stop,
                  const std::function<Result<>(const ListedFile&)>& read_byte);

/// Whether what came for a byte of `file`, of `found` bytes (nothing: it doesn't say), can be a
/// part of it. kPermissionDenied if not: whoever hasn't the right is often shown something else,
/// such as a page to log in, by an answer that looks like a success. `subject` is what messages
/// call it.
Result<> CheckShown(const ListedFile& file, std::optional<Bytes> found, std::string_view subject);

}  // namespace weighhouse::source
