#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/error.h"

namespace weighhouse {

enum class Scheduling {
  kNormal,
  /// SCHED_BATCH, see sched(7): waking up interrupts nobody. For threads that wait for the network
  /// or the disk: a moment later there is more for them to do at once, and whoever computes goes on
  /// meanwhile.
  kBatch,
};

/// Starts a named thread (names over 15 characters are cut: prctl(2) PR_SET_NAME). The body gets
/// the thread's stop token; the returned jthread asks it to stop and joins when destroyed.
std::jthread StartThread(std::string name, std::function<void(std::stop_token)> body,
                         Scheduling scheduling = Scheduling::kNormal);

/// The same for a thread that a request needs. kUnavailable if the system gives no thread now.
Result<std::jthread> TryStartThread(std::string name, std::function<void(std::stop_token)> body);

/// Sleeps until `until`; false if stopped before.
bool SleepUntil(std::chrono::steady_clock::time_point until, const std::stop_token& stop);

}  // namespace weighhouse
