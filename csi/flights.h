#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace weighhouse::csi {

/// Why a publish shall end before its time.
enum class Interruption {
  kNone,
  kUnpublished,  ///< NodeUnpublishVolume came for its target
  kAbandoned,    ///< the caller went away
  kStopping,     ///< the plugin is going down
};

/// Something that can be told to end. Thread-safe.
class Interruptible {
 public:
  virtual ~Interruptible() = default;
  /// Returns at once; the work ends soon, unless it has reached the point where it ends by itself.
  virtual void Interrupt(Interruption reason) = 0;
};

/// The publishes under way, one a target. Thread-safe.
class Flights {
 public:
  enum class Admission {
    kAdmitted,
    kUnpublishing,  ///< the target is being unpublished
    kStopping,
  };
  Admission Add(const std::string& target, const std::string& lease_id,
                std::weak_ptr<Interruptible> flight) EXCLUDES(mutex_);
  void Remove(const std::string& target) EXCLUDES(mutex_);

  /// From here to EndUnpublish no publish of `target` is admitted; one under way is interrupted.
  void BeginUnpublish(const std::string& target) EXCLUDES(mutex_);
  void EndUnpublish(const std::string& target) EXCLUDES(mutex_);

  /// Admits no more and interrupts what is under way.
  void Stop() EXCLUDES(mutex_);
  /// False if some publish is still under way at `deadline`.
  bool WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) EXCLUDES(mutex_);

  /// From here to EndWatch the leases of all publishes that are or come under way are noted:
  /// together with the mounts read in between no publish can be missed, whenever it ends. One watch
  /// at a time.
  void BeginWatch() EXCLUDES(mutex_);
  std::vector<std::string> EndWatch() EXCLUDES(mutex_);

 private:
  struct Flight {
    std::string lease_id;
    std::weak_ptr<Interruptible> interruptible;
  };
  mutable Mutex mutex_;
  ConditionVariable changed_;
  std::map<std::string, Flight> flights_ GUARDED_BY(mutex_);
  std::multiset<std::string> unpublishing_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool watching_ GUARDED_BY(mutex_) = false;
  std::set<std::string> watched_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::csi
