#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::source {

/// How long a test waits for what must happen.
constexpr std::chrono::seconds kTestPatience{20};

/// A sink that keeps what it gets. Calls come from the loop thread; the test waits in its own.
class RecordingSink final : public TransferSink {
 public:
  /// Decides on each offer, before it is kept; unset: takes all.
  std::function<bool(std::span<const std::byte>)> accept;
  /// Called at the end, after the record is complete.
  std::function<void()> at_end;

  bool OnBytes(std::span<const std::byte> bytes) override {
    if (accept && !accept(bytes)) return false;
    MutexLock lock(mutex_);
    bytes_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }
  void OnEnd(const TransferEnd& end) override {
    if (at_end) at_end();
    // Notified under the lock: whoever waits may destroy this as soon as it is free.
    MutexLock lock(mutex_);
    end_ = end;
    changed_.NotifyAll();
  }

  /// The end of the transfer; kDeadlineExceeded if none comes.
  TransferEnd WaitForEnd() {
    auto deadline = std::chrono::steady_clock::now() + kTestPatience;
    MutexLock lock(mutex_);
    while (!end_) {
      if (!changed_.WaitUntil(lock, deadline) && !end_) {
        return {.status = Fail(Code::kDeadlineExceeded, "the transfer did not end")};
      }
    }
    return *end_;
  }
  bool ended() {
    MutexLock lock(mutex_);
    return end_.has_value();
  }
  std::string bytes() {
    MutexLock lock(mutex_);
    return bytes_;
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  std::string bytes_ GUARDED_BY(mutex_);
  std::optional<TransferEnd> end_ GUARDED_BY(mutex_);
};

/// Runs `task` on the loop thread and waits for it.
inline void RunOnLoop(Transport& transport, const std::function<void()>& task) {
  struct Done {
    Mutex mutex;
    ConditionVariable changed;
    bool done GUARDED_BY(mutex) = false;
  };
  auto done = std::make_shared<Done>();
  transport.Post([done, &task] {
    task();
    MutexLock lock(done->mutex);
    done->done = true;
    done->changed.NotifyAll();
  });
  MutexLock lock(done->mutex);
  while (!done->done) done->changed.Wait(lock);
}

/// Brings `range` of `location` into `sink` and waits for the end.
inline TransferEnd Bring(Transport& transport, const FileLocation& location,
                         std::optional<ByteRange> range, RecordingSink& sink) {
  transport.Post([&] { transport.Start(location, range, sink); });
  return sink.WaitForEnd();
}

}  // namespace weighhouse::source
