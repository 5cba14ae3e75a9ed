#pragma once

#include <functional>
#include <string>

#include "base/error.h"

namespace weighhouse::source {

/// The value of an environment variable; "" if it isn't set.
using Environment = std::function<std::string(const char* name)>;

/// The process' own environment.
std::string ProcessEnvironment(const char* name);

/// The text, without space around it, of the file that the environment's `variable` names `path`:
/// a token or key that Kubernetes renews, so links are followed and it is read at each use.
/// kFailedPrecondition if it can't be read, is empty or is over 64 KiB.
Result<std::string> ReadCredentialFile(const std::string& path, std::string_view variable);

}  // namespace weighhouse::source
