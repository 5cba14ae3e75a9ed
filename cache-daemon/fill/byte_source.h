#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/error.h"

namespace weighhouse::fill {

/// The next bytes of a stream, valid until the next call; none: its end. An error ends it.
using ByteSource = std::function<Result<std::span<const std::byte>>()>;

}  // namespace weighhouse::fill
