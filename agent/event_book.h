#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "agent/event_object.h"
#include "agent/token_bucket.h"

namespace weighhouse::agent {

/// How often the API server hears of publishes.
struct EventLimits {
  using Milliseconds = std::chrono::milliseconds;
  Milliseconds grace{1000};         ///< who waits no longer is told once, when it is ready
  Milliseconds progress{10'000};    ///< between two texts of the same stage
  Milliseconds repeat{600'000};     ///< the same text again: an event goes after an hour
  Milliseconds least_gap{1000};     ///< between any two of one pod
  double pod_burst = 4;             ///< of one volume of a pod, and then one in `progress`
  double burst = 20;                ///< of the node
  double per_second = 2;            ///< and then
  Milliseconds first_retry{1000};   ///< after a failure; twice that after the next
  Milliseconds last_retry{60'000};  ///< and at most
};

/// What became of one announcement.
struct SendResult {
  enum class Outcome {
    kDone,
    kDropped,    ///< never again: the namespace goes, or the server will never take it
    kLater,      ///< this one failed; others may not
    kServerAway  ///< none would get through now
  };
  Outcome outcome = Outcome::kDone;
  std::optional<int32_t> count;                          ///< with kDone: the event's
  std::optional<std::chrono::milliseconds> retry_after;  ///< what the server asked for
};

/// Decides what is said of which pod, and when: one event for each volume of a pod, which changes
/// with each stage at once and with progress now and then, within EventLimits. What couldn't be
/// sent isn't queued: the next try says what is so then. Pure logic on the times it is given. Not
/// thread-safe.
class EventBook {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using WallTime = std::chrono::system_clock::time_point;

  /// `spread`, 0.75 to 1.25: what waits after failures are multiplied by, so that the nodes of a
  /// cluster don't come back together.
  EventBook(EventLimits limits, double spread, Time now);

  /// All publishes as they are now. Who is no longer among them is forgotten, but for an end that
  /// is yet to be told, and for a while a refusal: kubelet comes back to it.
  void Take(const pb::PublishesUpdate& update, Time now, WallTime wall_now);

  /// What is to be sent now, the ends first; its `Settle` must follow. Nothing: see NextAt.
  std::optional<Announcement> Next(Time now, WallTime wall_now);
  /// What became of what Next returned last.
  void Settle(const SendResult& result, Time now);
  /// When something will be due, should nothing change; Time::max() for never.
  Time NextAt(Time now);

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    pb::Publish publish;
    EventPlace place;
    EventText text;
    Stage stage = Stage::kResolving;
    WallTime text_since;        ///< of `text`
    Time announce_at;           ///< not before, unless it ended
    std::optional<Stage> told;  ///< what was said last, with told_text
    EventText told_text;
    Time told_at;
    bool exists = false;
    int32_t count = 0;  ///< 0: not known
    TokenBucket bucket;
    Time retry_at;
    int failures = 0;
    bool dropped = false;
    bool listed = true;  ///< false: gone from the daemon's list, see Take
    Time unlisted_at;
    bool IsTold() const { return told && told_text == text; }
  };
  using Entries = std::map<std::string, Entry>;

  Entry Begin(const pb::Publish& publish, EventPlace place, Time now, WallTime wall_now) const;
  static void GoOn(const Entry& before, Entry& entry);
  void Forget(Time now);
  Time DueAt(Entry& entry, Time now) const;
  std::chrono::milliseconds Backoff(int failures) const;

  const EventLimits limits_;
  const double spread_;
  TokenBucket bucket_;
  Time pause_until_;  ///< the server is away, or asked for it
  int failures_ = 0;  ///< of the server, in a row
  Entries entries_;   ///< by lease
  std::string under_way_;
};

}  // namespace weighhouse::agent
