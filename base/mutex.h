#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

// Abseil's headers, which gRPC's include, define two of these names, with the same meaning.
#undef GUARDED_BY
#undef NO_THREAD_SAFETY_ANALYSIS

// Clang's thread-safety attributes (clang.llvm.org/docs/ThreadSafetyAnalysis.html); nothing
// elsewhere.
#if defined(__clang__)
#define WEIGHHOUSE_ATTRIBUTE(x) __attribute__((x))
#else
#define WEIGHHOUSE_ATTRIBUTE(x)
#endif
#define CAPABILITY(x) WEIGHHOUSE_ATTRIBUTE(capability(x))
#define SCOPED_CAPABILITY WEIGHHOUSE_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(x) WEIGHHOUSE_ATTRIBUTE(guarded_by(x))
#define REQUIRES(...) WEIGHHOUSE_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) WEIGHHOUSE_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) WEIGHHOUSE_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) WEIGHHOUSE_ATTRIBUTE(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS WEIGHHOUSE_ATTRIBUTE(no_thread_safety_analysis)

namespace weighhouse {

/// A std::mutex that clang's thread-safety analysis understands. (std's and not Abseil's:
/// ThreadSanitizer sees through it.) Never held over I/O or a callback.
class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a Mutex for a scope. Works with `ConditionVariable`.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  friend class ConditionVariable;
  std::unique_lock<std::mutex> lock_;
};

/// std::condition_variable over MutexLock. Waits take no predicate, because the analysis can't see
/// into a lambda: write `while (!ready_) if (!changed_.WaitUntil(lock, deadline)) …`.
class ConditionVariable {
 public:
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }
  void Wait(MutexLock& lock) { condition_.wait(lock.lock_); }
  /// False once `deadline` has passed.
  bool WaitUntil(MutexLock& lock, std::chrono::steady_clock::time_point deadline) {
    return condition_.wait_until(lock.lock_, deadline) == std::cv_status::no_timeout;
  }

 private:
  std::condition_variable condition_;
};

}  // namespace weighhouse
