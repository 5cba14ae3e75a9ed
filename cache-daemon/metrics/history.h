#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/units.h"

namespace weighhouse::metrics {

/// How much of one thing happened in each ten minutes of the last day, for who has no Prometheus
/// that remembers. Takes the same memory whatever happens. Thread-safe. The clock outlives it.
class History {
 public:
  static constexpr std::chrono::minutes kStep{10};
  static constexpr size_t kSteps = 144;  ///< a day

  struct Step {
    uint64_t events = 0;
    Bytes bytes = 0;  ///< of them all
    bool operator==(const Step&) const = default;
  };
  struct View {
    std::chrono::system_clock::time_point begins;  ///< of the first step
    /// Oldest first; the last one is under way. Fewer than kSteps in the first day.
    std::vector<Step> steps;
  };

  explicit History(const Clock& clock) : clock_(clock), start_(clock.Steady()) {}

  /// One event of so many bytes, now.
  void Add(Bytes bytes) EXCLUDES(mutex_);
  View Lately() const EXCLUDES(mutex_);

 private:
  /// Of the step that is under way, counted from the start.
  uint64_t StepNow() const;

  const Clock& clock_;
  const std::chrono::steady_clock::time_point start_;
  mutable Mutex mutex_;
  uint64_t newest_ GUARDED_BY(mutex_) = 0;  ///< the last step that something was added to, or 0
  std::array<Step, kSteps> ring_ GUARDED_BY(mutex_){};  ///< step n at n modulo kSteps
};

}  // namespace weighhouse::metrics
