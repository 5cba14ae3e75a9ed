#pragma once

#include <map>
#include <string>

#include "base/units.h"

namespace weighhouse::store {

/// Whose the bytes are that snapshots have on the disk, as allocated.
struct Usage {
  struct Share {
    Bytes own = 0;  ///< no other snapshot lists them; with copies in trees: evicting it frees them
    Bytes shared = 0;  ///< of blobs that others list too
  };
  std::map<std::string, Share> snapshots;  ///< by id
  Bytes shared = 0;                        ///< of all, each blob once
};

}  // namespace weighhouse::store
