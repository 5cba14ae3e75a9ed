#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/units.h"
#include "csi/mountinfo.h"

namespace weighhouse::csi {

/// What the layers of all scratch volumes together may take of this process's memory: what a layer
/// starts with is charged to who makes it, until nobody holds the layer any more. Bounds those that
/// are mounted where this process sees it: one that is unmounted while a container or an open file
/// still holds it is counted no more, and costs until that lets go. deploy/daemonset's limit for
/// the container leaves as much again for the process, and more.
inline constexpr Bytes kScratchMemory = 64 * kMiB;

/// How many files a scratch layer of this size may hold beside what it starts with.
Bytes ScratchFiles(Bytes size);

/// What the scratch volumes among `mounts` cost, each counted once wherever it shows: by what the
/// kernel says of its layer, whichever process made it; the most that one may cost where that is
/// nothing that we would make. A system call each, which waits for no disk.
Bytes LiveScratchCost(const std::vector<MountEntry>& mounts, Bytes most);

/// Keeps the sum of all scratch volumes that are mounted below a limit. Counts only those under
/// way: the others are read from the mounts, so nothing is to be told of an unmount or remembered
/// over a restart. Thread-safe.
class ScratchMemory {
 public:
  explicit ScratchMemory(Bytes limit) : limit_(limit) {}

  /// A volume on its way to its mount. Ends once it is mounted, or will not be.
  class Pending {
   public:
    Pending(ScratchMemory& memory, Bytes cost)
        : memory_(memory), cost_(cost), all_(memory.Add(cost)) {}
    ~Pending() { memory_.Remove(cost_); }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    /// kResourceExhausted, with the numbers and the way out, if this one and what was under way
    /// with it are too much beside `live`: LiveScratchCost of mounts that were read since. One that
    /// was mounted meanwhile counts twice: the caller comes back.
    Result<> Check(Bytes live) const;

   private:
    ScratchMemory& memory_;
    const Bytes cost_;
    const Bytes all_;  ///< of what was under way when this began, itself among it
  };

 private:
  Bytes Add(Bytes cost) EXCLUDES(mutex_);
  void Remove(Bytes cost) EXCLUDES(mutex_);

  const Bytes limit_;
  Mutex mutex_;
  Bytes pending_ GUARDED_BY(mutex_) = 0;
};

}  // namespace weighhouse::csi
