#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::fill {

/// A transport whose loop is whoever calls RunUntil, whose time is moved by hand, and whose
/// transfers bring pieces of one string. Post and PostAfter are thread-safe.
class ManualTransport final : public source::Transport {
 public:
  explicit ManualTransport(std::string content = "") : content_(std::move(content)) {}

  /// Runs tasks and transfers until `done`; false after a minute without.
  bool RunUntil(const std::function<bool()>& done) EXCLUDES(mutex_);
  /// Runs all tasks that are here now.
  void RunTasks();
  /// Makes the timers due that fall into the next `duration`.
  void Advance(std::chrono::milliseconds duration) EXCLUDES(mutex_);

  /// Whenever nothing else is to be done, the time jumps to the next timer.
  void SkipWaits() { skips_waits_ = true; }

  void set_content(std::string content) { content_ = std::move(content); }
  /// Transfers that ask for a range end with kUnimplemented.
  void IgnoreRanges() { ignores_ranges_ = true; }
  /// The next transfer to bring anything ends so in its place.
  void EndNext(source::TransferEnd end) { ends_.push_back(std::move(end)); }
  /// All transfers end so, and those that are begun for it.
  void EndAll(const source::TransferEnd& end);
  /// No transfer brings anything, or ends.
  bool IsIdle() { return NextToServe() == transfers_.end(); }
  /// Transfers that begin at `position` bring nothing until `Unstall`.
  void StallAt(Bytes position) { stalled_ = position; }
  void Unstall() { stalled_.reset(); }
  /// All transfers together bring so many more pieces of their bytes; nothing: as many as there
  /// are.
  void Allow(std::optional<int> pieces) { allowed_ = pieces; }
  /// Each transfer that has brought a piece ends so.
  void EndEachAfterAPiece(std::optional<source::TransferEnd> end) { end_of_each_ = std::move(end); }
  /// The ranges that were asked for; nothing: without a range.
  const std::vector<std::optional<ByteRange>>& asked() const { return asked_; }

  void Post(std::function<void()> task) override { PostAfter({}, std::move(task)); }
  void Reconfigure(const source::TransportOptions&) override {}
  void PostAfter(std::chrono::milliseconds delay, std::function<void()> task) override
      EXCLUDES(mutex_);
  source::TransferId Start(const source::FileLocation& location, std::optional<ByteRange> range,
                           source::TransferSink& sink) override;
  void Resume(source::TransferId id) override;
  void Cancel(source::TransferId id) override { transfers_.erase(id); }

 private:
  struct Transfer {
    source::TransferSink& sink;
    ByteRange range;
    Bytes position;
    bool ranged;
    bool paused = false;
    bool brought = false;
  };
  bool RunOneTask() EXCLUDES(mutex_);
  /// In turns.
  std::map<source::TransferId, Transfer>::iterator NextToServe();
  bool ServeOne();

  std::string content_;
  bool skips_waits_ = false;
  bool ignores_ranges_ = false;
  std::deque<source::TransferEnd> ends_;
  std::optional<Bytes> stalled_;
  std::optional<int> allowed_;
  std::optional<source::TransferEnd> end_of_each_;
  std::vector<std::optional<ByteRange>> asked_;
  std::map<source::TransferId, Transfer> transfers_;
  source::TransferId next_id_ = 1;
  source::TransferId last_served_ = 0;

  Mutex mutex_;
  ConditionVariable changed_;
  std::chrono::milliseconds now_ GUARDED_BY(mutex_){0};
  std::multimap<std::chrono::milliseconds, std::function<void()>> tasks_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::fill
