#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/thread.h"

namespace weighhouse::cli {

/// Runs what may hang (a dead disk, a server that is away, a socket's backlog), each on a thread of
/// its own and for a time at most. Nothing ends a thread that hangs in the kernel, so it is left
/// behind: the process must then end with _exit, and may not even do that. Not thread-safe.
class TimedProbes {
 public:
  /// What `probe` returns; nothing if it takes longer than `limit`, or the system gives no thread.
  /// `probe` must own all that it uses.
  template <class Outcome>
  std::optional<Outcome> Run(std::chrono::milliseconds limit, std::function<Outcome()> probe) {
    auto promise = std::make_shared<std::promise<Outcome>>();
    std::future<Outcome> future = promise->get_future();
    Result<std::jthread> thread =
        TryStartThread("probe", [promise, probe = std::move(probe)](const std::stop_token&) {
          promise->set_value(probe());
        });
    if (!thread) return std::nullopt;
    if (future.wait_for(limit) != std::future_status::ready) {
      thread->detach();
      return std::nullopt;
    }
    thread->join();
    return future.get();
  }
};

}  // namespace weighhouse::cli
