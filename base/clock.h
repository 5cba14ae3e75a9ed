#pragma once

#include <chrono>

namespace weighhouse {

/// Where the time comes from, so that tests can move it. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall-clock time. It may jump: only for what people read and what must survive a restart.
  virtual std::chrono::system_clock::time_point Now() const = 0;
  /// For measuring and for deadlines.
  virtual std::chrono::steady_clock::time_point Steady() const = 0;
};

/// The machine's clock.
class SystemClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override {
    return std::chrono::system_clock::now();
  }
  std::chrono::steady_clock::time_point Steady() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace weighhouse
