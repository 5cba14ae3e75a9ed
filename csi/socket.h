#pragma once

#include <string>

#include "base/error.h"

namespace weighhouse::csi {

/// Makes way for a listening socket at `path`: its directory exists, and a socket file that nobody
/// answers on is removed. kFailedPrecondition if something answers there, or if what lies there is
/// no socket (it is left alone).
Result<> PrepareSocketPath(const std::string& path);

}  // namespace weighhouse::csi
