#include "agent/event_book.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weighhouse::agent {
namespace {

using std::chrono::milliseconds;
using Time = EventBook::Time;
using WallTime = EventBook::WallTime;

/// How long an end is kept that the daemon no longer lists. One that couldn't be told is of no more
/// interest then. One that was refused for good begins anew within that time, if at all: the daemon
/// lists it for two minutes, and kubelet comes back after a little more.
constexpr std::chrono::minutes kKeepEnds{10};
/// With more entries than these, four times as many as the daemon lists, none is kept.
constexpr size_t kMostEntries = 4096;
/// What a server may ask for, at most.
constexpr std::chrono::minutes kLongestPause{10};
constexpr int32_t kMostCount = INT32_MAX - 1;

WallTime SinceOf(const pb::Publish& publish, WallTime wall_now) {
  WallTime since{milliseconds(std::max<int64_t>(publish.since_unix_ms(), 0))};
  return std::min(since, wall_now);
}

}  // namespace

EventBook::EventBook(EventLimits limits, double spread, Time now)
    : limits_(limits),
      spread_(spread),
      bucket_(limits.burst, limits.per_second, now),
      pause_until_(now) {}

EventBook::Entry EventBook::Begin(const pb::Publish& publish, EventPlace place, Time now,
                                  WallTime wall_now) const {
  auto waited = std::chrono::floor<milliseconds>(wall_now - SinceOf(publish, wall_now));
  milliseconds left = std::max(limits_.grace - waited, milliseconds(0));
  double refill = 1000.0 / static_cast<double>(limits_.progress.count());
  return Entry{.publish = publish,
               .place = std::move(place),
               .text = {},
               .text_since = wall_now,
               .announce_at = now + left,
               .told = std::nullopt,
               .told_text = {},
               .told_at = now,
               .bucket = TokenBucket(limits_.pod_burst, refill, now),
               .retry_at = now,
               .unlisted_at = now};
}

/// A new try at the same volume goes on with the event of the former, and within its limits.
void EventBook::GoOn(const Entry& before, Entry& entry) {
  if (before.place != entry.place) return;
  entry.exists = before.exists;
  entry.count = before.count;
  entry.bucket = before.bucket;
  entry.retry_at = before.retry_at;
  entry.failures = before.failures;
  entry.dropped = before.dropped;
  if (before.told != Stage::kRefused) return;
  // For the reader it is one refusal, however often kubelet tries.
  entry.told = before.told;
  entry.told_text = before.told_text;
  entry.told_at = before.told_at;
}

void EventBook::Take(const pb::PublishesUpdate& update, Time now, WallTime wall_now) {
  std::set<std::string> listed;
  for (const pb::Publish& publish : update.publishes()) {
    std::optional<EventPlace> place = PlaceOf(publish);
    std::optional<EventText> text = TextOf(publish);
    if (!place || !text) continue;
    listed.insert(publish.lease_id());
    auto found = entries_.find(publish.lease_id());
    bool same =
        found != entries_.end() && found->second.publish.since_unix_ms() == publish.since_unix_ms();
    if (!same) {
      Entry entry = Begin(publish, *place, now, wall_now);
      if (found != entries_.end()) GoOn(found->second, entry);
      found = entries_.insert_or_assign(publish.lease_id(), std::move(entry)).first;
    }
    Entry& entry = found->second;
    if (entry.text != *text) entry.text_since = wall_now;
    entry.publish = publish;
    entry.text = *std::move(text);
    entry.stage = *StageOf(publish);
    entry.listed = true;
  }
  for (auto& [lease, entry] : entries_) {
    if (listed.contains(lease) || !entry.listed) continue;
    entry.listed = false;
    entry.unlisted_at = now;
  }
  Forget(now);
}

void EventBook::Forget(Time now) {
  std::erase_if(entries_, [&](const auto& item) {
    const Entry& entry = item.second;
    if (entry.listed) return false;
    if (!IsEnd(entry.stage) || now >= entry.unlisted_at + kKeepEnds) return true;
    return entry.stage == Stage::kReady && (entry.dropped || entry.IsTold());
  });
  if (entries_.size() <= kMostEntries) return;
  std::erase_if(entries_, [](const auto& item) { return !item.second.listed; });
}

Time EventBook::DueAt(Entry& entry, Time now) const {
  if (entry.dropped) return Time::max();
  Time due = IsEnd(entry.stage) ? now : entry.announce_at;
  if (entry.IsTold()) {
    if (entry.stage == Stage::kReady || !entry.listed) return Time::max();
    due = entry.told_at + limits_.repeat;
  } else if (entry.told == Stage::kRefused && entry.stage == Stage::kResolving) {
    // kubelet only tries again: why it is refused is what a reader needs.
    return Time::max();
  } else if (entry.told) {
    due = entry.told_at + (entry.told == entry.stage ? limits_.progress : limits_.least_gap);
  }
  due = std::max(due, entry.retry_at);
  return std::max(due, entry.bucket.ReadyAt(now));
}

std::optional<Announcement> EventBook::Next(Time now, WallTime wall_now) {
  if (now < pause_until_ || bucket_.ReadyAt(now) > now) return std::nullopt;
  Forget(now);
  auto chosen = entries_.end();
  std::pair<bool, Time> best;
  for (auto each = entries_.begin(); each != entries_.end(); ++each) {
    Time due = DueAt(each->second, now);
    std::pair<bool, Time> rank(!IsEnd(each->second.stage), due);
    if (due > now || (chosen != entries_.end() && rank >= best)) continue;
    chosen = each;
    best = rank;
  }
  if (chosen == entries_.end()) return std::nullopt;
  Entry& entry = chosen->second;
  under_way_ = chosen->first;
  bucket_.Take(now);
  entry.bucket.Take(now);
  WallTime last = entry.IsTold() ? wall_now : std::min(entry.text_since, wall_now);
  Announcement announcement{.place = entry.place,
                            .text = entry.text,
                            .first = SinceOf(entry.publish, last),
                            .last = last,
                            .exists = entry.exists,
                            .count = std::nullopt};
  if (!entry.exists || entry.count > 0) announcement.count = std::min(entry.count, kMostCount) + 1;
  return announcement;
}

void EventBook::Settle(const SendResult& result, Time now) {
  using Outcome = SendResult::Outcome;
  auto found = entries_.find(under_way_);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  milliseconds asked =
      std::min<milliseconds>(result.retry_after.value_or(milliseconds(0)), kLongestPause);
  failures_ = result.outcome == Outcome::kServerAway ? failures_ + 1 : 0;
  switch (result.outcome) {
    case Outcome::kDone:
      entry.exists = true;
      entry.count = result.count.value_or(0);
      entry.told = entry.stage;
      entry.told_text = entry.text;
      entry.told_at = now;
      entry.failures = 0;
      break;
    case Outcome::kDropped:
      entry.dropped = true;
      break;
    case Outcome::kLater:
      entry.retry_at = now + std::max(asked, Backoff(++entry.failures));
      break;
    case Outcome::kServerAway:
      pause_until_ = now + std::max(asked, Backoff(failures_));
      break;
  }
  Forget(now);
}

milliseconds EventBook::Backoff(int failures) const {
  milliseconds wait = limits_.first_retry;
  for (int each = 1; each < failures && wait < limits_.last_retry; ++each) wait *= 2;
  wait = std::min(wait, limits_.last_retry);
  return milliseconds(static_cast<int64_t>(static_cast<double>(wait.count()) * spread_));
}

Time EventBook::NextAt(Time now) {
  Time next = Time::max();
  for (auto& [lease, entry] : entries_) next = std::min(next, DueAt(entry, now));
  if (next == Time::max()) return next;
  return std::max({next, pause_until_, bucket_.ReadyAt(now)});
}

}  // namespace weighhouse::agent
