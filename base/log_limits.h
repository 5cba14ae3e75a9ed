#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_format.h"

namespace weighhouse {

/// Bounds the rate of lines: of each kind the first ones of a minute pass, the others are counted.
/// The minute begins with a kind's first line. Kinds are places of the code, so there are only so
/// many. Not thread-safe. No I/O, no clock.
class LogLimits {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr size_t kRepeated = 10;  ///< of what a failure repeats
  static constexpr size_t kEvents = 300;   ///< of what happens as often as somebody asks for it
  static constexpr std::chrono::seconds kWindow{60};

  /// Whether a line of `kind`, of which `most` pass, does.
  bool Admit(const std::string& kind, size_t most, LogLevel level, std::string_view message,
             Time now);

  /// What was left out of a kind in a minute.
  struct LeftOut {
    LogLevel level = LogLevel::kInfo;  ///< of the last one
    std::string message;               ///< the last one
    size_t lines = 0;
  };
  /// Of the minutes that are over at `now`, each once.
  std::vector<LeftOut> TakeEnded(Time now);

 private:
  struct Kind {
    Time begun;
    size_t passed = 0;
    LeftOut left_out;
  };
  std::map<std::string, Kind> kinds_;  // those with a line within the last minute
};

}  // namespace weighhouse
