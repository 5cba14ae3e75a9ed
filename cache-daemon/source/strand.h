#pragma once

#include "base/mutex.h"

namespace weighhouse::source {

/// What all that a transport's loops call runs under, so that those who are called need no locks of
/// their own: sinks and tasks, one at a time, whichever loop's thread they come from. The one mutex
/// that is held over callbacks, and the first in the order of locks; they don't block, and most are
/// the copy of 16 KiB, so that loops still receive and decrypt at the same time.
class Strand final : public Mutex {
 public:
  /// For callees whose callers hold it where the analysis can't see: behind a sink's or a task's
  /// back. Checks nothing.
  void AssertHeld() const WEIGHHOUSE_ATTRIBUTE(assert_capability(this)) {}
};

}  // namespace weighhouse::source
