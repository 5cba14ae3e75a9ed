#pragma once

#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

/// Where trees go before they are removed: a rename takes the whole tree away at once, and recovery
/// knows the name. Thread-safe.
class Trash {
 public:
  Trash(io::Filesystem& filesystem, const RootLayout& layout)
      : filesystem_(filesystem), layout_(layout) {}

  /// Takes `tree` (relative to the root) out of sight. A missing one is fine.
  Result<> Move(const std::string& tree) EXCLUDES(mutex_);
  /// Removes all that was moved here before the call, whoever removes it. What can't be removed is
  /// logged and tried again the next time.
  void Empty() EXCLUDES(mutex_, emptying_);

 private:
  io::Filesystem& filesystem_;
  const RootLayout& layout_;
  Mutex emptying_;  // held over the removal, so that whoever needs the space waits for it
  Mutex mutex_;
  std::vector<std::string> trees_ GUARDED_BY(mutex_);  // relative to the root
  size_t last_number_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse::store
