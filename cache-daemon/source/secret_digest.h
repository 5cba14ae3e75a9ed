#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weighhouse::source {

/// What stands for a secret in what is kept: the same for the same one, and no way back to it, by
/// guessing neither, for who hasn't the key that is in it. Thread-safe.
using SecretDigest = std::function<std::string(std::string_view)>;

/// One whose key is random and ends with it.
Result<SecretDigest> NewSecretDigest();

}  // namespace weighhouse::source
