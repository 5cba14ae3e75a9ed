#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/worker_pool.h"

namespace weighhouse::csi {

/// Asks a question once for all who want to know meanwhile: of many publishes at one moment each
/// would else read the same mount table, which has a line a volume, and ask the daemon the same.
/// Thread-safe; what is asked must have been answered before it is destroyed.
///
/// Nobody gets an old answer: one whose finding had begun before somebody asked isn't for them.
template <class T = void>
class SharedAnswer {
 public:
  /// The answer lasts as long as the call.
  using Done = std::function<void(const Result<T>&)>;
  /// `question` begins to find the answer and calls what it is given once, on a worker. `workers`
  /// outlives this.
  SharedAnswer(WorkerPool& workers, std::function<void(Done)> question)
      : workers_(workers), question_(std::move(question)) {}

  /// Calls `done` on a worker with an answer that was begun since.
  void Ask(Done done) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      waiting_.push_back(std::move(done));
      if (asking_) return;
      asking_ = true;
    }
    Begin();
  }

 private:
  void Begin() EXCLUDES(mutex_) {
    auto asked = std::make_shared<std::vector<Done>>();
    {
      MutexLock lock(mutex_);
      asked->swap(waiting_);  // who asks from here on gets the next answer
    }
    question_([this, asked](const Result<T>& answer) { Deliver(*asked, answer); });
  }

  void Deliver(std::vector<Done>& asked, const Result<T>& answer) EXCLUDES(mutex_) {
    bool again = false;
    {
      MutexLock lock(mutex_);
      again = asking_ = !waiting_.empty();
    }
    if (again) Begin();
    auto kept = asked.size() > 1 ? std::make_shared<const Result<T>>(answer) : nullptr;
    for (size_t i = 1; i < asked.size(); ++i) {
      workers_.Post([done = std::move(asked[i]), kept] { done(*kept); });
    }
    asked.front()(answer);
  }

  WorkerPool& workers_;
  const std::function<void(Done)> question_;
  Mutex mutex_;
  std::vector<Done> waiting_ GUARDED_BY(mutex_);
  bool asking_ GUARDED_BY(mutex_) = false;
};

}  // namespace weighhouse::csi
