#include "cache-daemon/fill/bandwidth_limit.h"

#include <algorithm>
#include <utility>

namespace weighhouse::fill {
namespace {

/// A prefetch's bytes move its fill's virtual time on as if they were so many.
constexpr double kPrefetchPrice = 8;
/// What libcurl hands on at a time.
constexpr double kPiece = 16.0 * kKiB;
/// Fills whose virtual time is over are forgotten when there are more than this.
constexpr size_t kFillsKept = 64;

}  // namespace

BandwidthLimit::BandwidthLimit(Bytes bytes_per_second, const Clock& clock,
                               std::function<void(std::chrono::milliseconds)> later)
    : clock_(clock), later_(std::move(later)) {
  SetRate(bytes_per_second);
}

/// The slack is what comes in two turns: with less, the few who are called in a turn could not use
/// all that it brings. One piece of a prefetch at least, or it would always be ahead.
void BandwidthLimit::SetRate(Bytes bytes_per_second) {
  if (rate_ == bytes_per_second) return;
  rate_ = bytes_per_second;
  if (bytes_per_second == 0) {
    bucket_.reset();
  } else if (bucket_) {
    bucket_->SetRate(bytes_per_second, clock_.Steady());
  } else {
    bucket_.emplace(bytes_per_second, clock_.Steady());
  }
  double in_two_turns =
      static_cast<double>(bytes_per_second) * std::chrono::duration<double>(2 * kTurn).count();
  slack_ = std::max(in_two_turns, kPrefetchPrice * kPiece);
  // Those who wait were told when by the old rate.
  if (!waiting_.empty()) later_(kTurn);
}

/// A fill that took nothing for a while has no claim to what it could have had. (Those who take all
/// the time are never farther apart than twice the slack.)
double BandwidthLimit::StartOf(const std::string& fill) const {
  auto waiter = std::ranges::find(waiting_, fill, &Waiter::fill);
  auto finished = finished_.find(fill);
  double own = finished == finished_.end() ? 0 : finished->second;
  return waiter != waiting_.end() ? std::max(own, waiter->start)
                                  : std::max(own, virtual_time_ - 2 * slack_);
}

bool BandwidthLimit::SomebodyElseIsBehind(const std::string& fill, double start) const {
  return std::ranges::any_of(waiting_, [&](const Waiter& waiter) {
    return waiter.fill != fill && StartOf(waiter.fill) + slack_ < start;
  });
}

bool BandwidthLimit::MayTake(BandwidthUser& user, const Claim& claim) {
  if (!bucket_) return true;
  bool behind = SomebodyElseIsBehind(claim.fill, StartOf(claim.fill));
  if (!behind && bucket_->Ready(clock_.Steady())) return true;
  Wait(user, claim.fill);
  return false;
}

void BandwidthLimit::Took(BandwidthUser& user, const Claim& claim, Bytes bytes) {
  if (!bucket_) return;
  bucket_->Take(bytes);
  double start = StartOf(claim.fill);
  double price = claim.priority == FillPriority::kPrefetch ? kPrefetchPrice : 1;
  virtual_time_ = std::max(virtual_time_, start);
  finished_[claim.fill] = start + static_cast<double>(bytes) * price;
  // One that wasn't called yet is: another of its connections may have been refused.
  std::erase_if(waiting_,
                [&](const Waiter& waiter) { return waiter.user == &user && waiter.called; });
  if (finished_.size() <= kFillsKept) return;
  std::erase_if(finished_, [&](const auto& each) { return each.second <= virtual_time_; });
}

void BandwidthLimit::Wait(BandwidthUser& user, const std::string& fill) {
  auto found = std::ranges::find(waiting_, &user, &Waiter::user);
  if (found != waiting_.end()) {
    found->called = false;
  } else {
    double start = StartOf(fill);
    waiting_.push_back({.user = &user, .fill = fill, .start = start});
  }
  if (std::exchange(called_later_, true)) return;
  later_(std::max(kTurn, bucket_->UntilReady(clock_.Steady())));
}

bool BandwidthLimit::Waits(const BandwidthUser& user) const {
  return std::ranges::find(waiting_, &user, &Waiter::user) != waiting_.end();
}

void BandwidthLimit::Leave(const BandwidthUser& user) {
  std::erase_if(waiting_, [&](const Waiter& waiter) { return waiter.user == &user; });
}

void BandwidthLimit::Offer() {
  called_later_ = false;
  std::erase_if(waiting_, [](const Waiter& waiter) { return waiter.called; });
  std::multimap<double, BandwidthUser*> turns;  // equal ones stay in the order of their refusals
  for (Waiter& waiter : waiting_) {
    waiter.called = true;
    turns.emplace(StartOf(waiter.fill), waiter.user);
  }
  for (auto& [start, user] : turns) {
    // One that was called may have ended another.
    if (std::ranges::find(waiting_, user, &Waiter::user) != waiting_.end()) user->OnBandwidth();
  }
}

}  // namespace weighhouse::fill
