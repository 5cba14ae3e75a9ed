#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "cache-daemon/engine/publish_view.h"

namespace weighhouse {

/// What the publishes of pods wait for, for those who look: one entry a lease, over kubelet's
/// repetitions of it. Its size is bounded, and an Acquire takes the same moment however full it is.
/// Thread-safe. Outlives its writers.
class PublishBoard {
 public:
  static constexpr size_t kMostEntries = 1024;
  /// How long those that ended are shown.
  static constexpr std::chrono::minutes kEndedFor{2};
  /// How long those are that wait and that no Acquire asks for: longer than kubelet's longest pause
  /// between two tries, which is two minutes.
  static constexpr std::chrono::minutes kSilentFor{5};

  explicit PublishBoard(const Clock& clock, size_t most_entries = kMostEntries)
      : clock_(clock), most_entries_(most_entries) {}

  /// What one Acquire writes of its publish, until it is destroyed. Without a board (a pull, or the
  /// replay of a mounted volume, which is no publish) it writes nothing. So it does when the lease
  /// was released meanwhile: what is there then is of another publish.
  class Writer {
   public:
    Writer() = default;
    Writer(Writer&& other) noexcept
        : board_(std::exchange(other.board_, nullptr)),
          lease_id_(std::move(other.lease_id_)),
          number_(other.number_) {}
    Writer& operator=(Writer&&) = delete;
    ~Writer();

    void Write(PublishView::Filling filling);
    /// Counts until the lease is released, or its files must be filled again.
    void Write(PublishView::Ready ready);
    /// An end that has kubelet come back to the same wait (kAborted, kCancelled,
    /// kDeadlineExceeded) is none: the publish waits on.
    void Write(PublishView::Refused refused);

   private:
    friend class PublishBoard;
    Writer(PublishBoard& board, std::string lease_id, uint64_t number)
        : board_(&board), lease_id_(std::move(lease_id)), number_(number) {}

    PublishBoard* board_ = nullptr;
    std::string lease_id_;
    uint64_t number_ = 0;
  };

  /// An Acquire of the publish begins; `publish.state` is Resolving. A publish that is filling or
  /// ready stays so until its writer says something else.
  Writer Begin(PublishView publish) EXCLUDES(mutex_);
  /// The lease was released. A publish that was refused for good stays to be seen: the plugin
  /// releases what was refused, at once.
  void Release(const std::string& lease_id) EXCLUDES(mutex_);
  /// Oldest first.
  std::vector<PublishView> View() EXCLUDES(mutex_);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Entry {
    PublishView publish;
    uint64_t first_writer = 0;  // those of a smaller number wrote of what was released
    size_t writers = 0;
    Time touched{};  // when it ended; of one that waits, when an Acquire of it last began or left
  };
  using Entries = std::list<Entry>;

  /// The entry that this writer writes; null: it has gone.
  Entry* EntryOf(const Writer& writer) REQUIRES(mutex_);
  /// Puts the entry behind the others of its kind, as touched now.
  void Touch(const std::string& lease_id) REQUIRES(mutex_);
  void Set(const Writer& writer, decltype(PublishView::state) state) EXCLUDES(mutex_);
  void Leave(const Writer& writer) EXCLUDES(mutex_);
  Entries::iterator Drop(Entries& entries, Entries::iterator entry) REQUIRES(mutex_);
  void MakeRoom() REQUIRES(mutex_);
  void DropEnded() REQUIRES(mutex_);
  void DropSilent() REQUIRES(mutex_);

  const Clock& clock_;
  const size_t most_entries_;
  Mutex mutex_;
  uint64_t last_number_ GUARDED_BY(mutex_) = 0;
  // Both: longest untouched first.
  Entries waiting_ GUARDED_BY(mutex_);
  Entries ended_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Entries::iterator> by_lease_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse
