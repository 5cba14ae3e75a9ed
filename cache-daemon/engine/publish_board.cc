#include "cache-daemon/engine/publish_board.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace weighhouse {
namespace {

bool IsReady(const PublishView& publish) {
  return std::holds_alternative<PublishView::Ready>(publish.state);
}

/// Null: it was not refused.
const Error* RefusalOf(const PublishView& publish) {
  const auto* refused = std::get_if<PublishView::Refused>(&publish.state);
  return refused == nullptr ? nullptr : &refused->error;
}

}  // namespace

PublishBoard::Writer::~Writer() {
  if (board_ != nullptr) board_->Leave(*this);
}

void PublishBoard::Writer::Write(PublishView::Filling filling) {
  if (board_ != nullptr) board_->Set(*this, std::move(filling));
}

void PublishBoard::Writer::Write(PublishView::Ready ready) {
  if (board_ != nullptr) board_->Set(*this, ready);
}

void PublishBoard::Writer::Write(PublishView::Refused refused) {
  Code code = refused.error.code;
  bool waits_on =
      code == Code::kAborted || code == Code::kCancelled || code == Code::kDeadlineExceeded;
  if (board_ != nullptr && !waits_on) board_->Set(*this, std::move(refused));
}

PublishBoard::Writer PublishBoard::Begin(PublishView publish) {
  std::string lease_id = publish.lease_id;
  MutexLock lock(mutex_);
  uint64_t number = ++last_number_;
  DropEnded();
  auto found = by_lease_.find(lease_id);
  if (found == by_lease_.end()) {
    MakeRoom();
    waiting_.push_back({.publish = std::move(publish), .first_writer = number});
    found = by_lease_.emplace(lease_id, std::prev(waiting_.end())).first;
  } else if (const Error* refusal = RefusalOf(found->second->publish)) {
    // The same wait goes on, unless it was refused for good.
    if (IsTemporary(refusal->code)) publish.since = found->second->publish.since;
    found->second->publish = std::move(publish);
    waiting_.splice(waiting_.end(), ended_, found->second);
  }
  ++found->second->writers;
  if (!found->second->publish.Ended()) Touch(lease_id);
  return {*this, std::move(lease_id), number};
}

void PublishBoard::Release(const std::string& lease_id) {
  MutexLock lock(mutex_);
  auto found = by_lease_.find(lease_id);
  if (found == by_lease_.end()) return;
  Entry& entry = *found->second;
  const Error* refusal = RefusalOf(entry.publish);
  if (refusal != nullptr && !IsTemporary(refusal->code)) {
    entry.first_writer = last_number_ + 1;
    entry.writers = 0;
    return;
  }
  Drop(entry.publish.Ended() ? ended_ : waiting_, found->second);
}

std::vector<PublishView> PublishBoard::View() {
  std::vector<PublishView> publishes;
  {
    MutexLock lock(mutex_);
    DropEnded();
    DropSilent();
    publishes.reserve(by_lease_.size());
    for (const Entry& entry : waiting_) publishes.push_back(entry.publish);
    for (const Entry& entry : ended_) publishes.push_back(entry.publish);
  }
  std::ranges::sort(publishes, {}, [](const PublishView& publish) {
    return std::tie(publish.since, publish.lease_id);
  });
  return publishes;
}

PublishBoard::Entry* PublishBoard::EntryOf(const Writer& writer) {
  auto found = by_lease_.find(writer.lease_id_);
  if (found == by_lease_.end() || writer.number_ < found->second->first_writer) return nullptr;
  return &*found->second;
}

void PublishBoard::Touch(const std::string& lease_id) {
  Entries::iterator entry = by_lease_.at(lease_id);
  entry->touched = clock_.Steady();
  Entries& entries = entry->publish.Ended() ? ended_ : waiting_;
  entries.splice(entries.end(), entries, entry);
}

void PublishBoard::Set(const Writer& writer, decltype(PublishView::state) state) {
  MutexLock lock(mutex_);
  Entry* entry = EntryOf(writer);
  if (entry == nullptr) return;
  bool fills = std::holds_alternative<PublishView::Filling>(state);
  // Somebody reads it: what another try of it comes to, with another model say, is not its end.
  if (IsReady(entry->publish) && !fills) return;
  Entries& before = entry->publish.Ended() ? ended_ : waiting_;
  entry->publish.state = std::move(state);
  Entries& after = entry->publish.Ended() ? ended_ : waiting_;
  if (&before == &after && fills) return;  // one of many
  after.splice(after.end(), before, by_lease_.at(writer.lease_id_));
  entry->touched = clock_.Steady();
}

void PublishBoard::Leave(const Writer& writer) {
  MutexLock lock(mutex_);
  Entry* entry = EntryOf(writer);
  if (entry == nullptr) return;
  --entry->writers;
  if (!entry->publish.Ended()) Touch(writer.lease_id_);
}

PublishBoard::Entries::iterator PublishBoard::Drop(Entries& entries, Entries::iterator entry) {
  by_lease_.erase(entry->publish.lease_id);
  return entries.erase(entry);
}

void PublishBoard::MakeRoom() {
  if (by_lease_.size() < most_entries_) return;
  Entries& entries = ended_.empty() ? waiting_ : ended_;
  Drop(entries, entries.begin());
}

void PublishBoard::DropEnded() {
  Time now = clock_.Steady();
  while (!ended_.empty() && ended_.front().touched + kEndedFor < now) Drop(ended_, ended_.begin());
}

void PublishBoard::DropSilent() {
  Time now = clock_.Steady();
  for (auto entry = waiting_.begin(); entry != waiting_.end();) {
    bool gone = entry->writers == 0 && entry->touched + kSilentFor < now;
    entry = gone ? Drop(waiting_, entry) : std::next(entry);
  }
}

}  // namespace weighhouse
