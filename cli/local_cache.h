#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "cache-daemon/engine/engine.h"

namespace weighhouse::cli {

struct LocalCacheOptions {
  std::string root;
  std::string hf_endpoint;  ///< empty: the engine's default
  bool allow_plain_http = false;
  Bytes bandwidth_limit = 0;  ///< bytes a second; 0: none
};

/// Opens the cache in a directory inside this process. The directory is made if missing. As root
/// the process first becomes, for good, the directory's owner, because files that root owns could
/// be written by root inside a container: a directory that root owns is refused, and one made by
/// root is given to the user behind sudo, or to the daemon's uid. Call it before any thread is
/// made. kFailedPrecondition says what is in the way.
Result<std::unique_ptr<Engine>> OpenLocalCache(const LocalCacheOptions& options);

}  // namespace weighhouse::cli
