#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/io/filesystem.h"

namespace weighhouse::store {

/// The sync of one directory, which those who ask for it at the same time share: a disk takes as
/// long for the names of a hundred publishes as for one. Thread-safe.
class SharedSync {
 public:
  /// `filesystem` must outlive it.
  SharedSync(io::Filesystem& filesystem, std::string directory)
      : filesystem_(filesystem), directory_(std::move(directory)) {}

  /// Makes durable what was done to the directory's names before the call: waits for a sync that
  /// begins after it, and has that one's outcome. After an error nothing is known of those names,
  /// whatever a later sync says. kUnavailable: the one under way doesn't end.
  Result<> Run() EXCLUDES(mutex_);

 private:
  /// One sync, and those who wait for it.
  struct Round {
    std::optional<Result<>> outcome;
  };

  io::Filesystem& filesystem_;
  const std::string directory_;
  Mutex mutex_;
  ConditionVariable ended_;
  bool running_ GUARDED_BY(mutex_) = false;
  /// The round that begins next, if somebody asked for it: shared by who waits for it.
  std::shared_ptr<Round> next_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::store
