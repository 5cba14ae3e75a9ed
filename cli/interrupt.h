#pragma once

#include <signal.h>

#include <atomic>
#include <stop_token>
#include <thread>

#include "base/unique_fd.h"

namespace weighhouse::cli {

/// What a shell adds to the number of the signal that ended a program.
inline constexpr int kExitOfSignal = 128;

/// Turns the first SIGINT or SIGTERM into a stop request; a second one ends the process at once.
/// Construct it before any thread: the signals are blocked for the thread that makes it and those
/// made after.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token Token() const { return source_.get_token(); }
  /// The signal that came, or 0.
  int Signal() const { return signal_; }

 private:
  void Watch(const std::stop_token& stop);

  UniqueFd signals_, wake_;
  std::stop_source source_;
  std::atomic<int> signal_ = 0;
  std::jthread thread_;
};

}  // namespace weighhouse::cli
