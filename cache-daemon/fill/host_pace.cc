#include "cache-daemon/fill/host_pace.h"

#include <algorithm>
#include <utility>

namespace weighhouse::fill {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Seconds = std::chrono::duration<double>;

constexpr milliseconds kInterval{500};
/// While it climbs: half as many connections more show in less time, and each step costs a short
/// fill a part of what the link could have brought.
constexpr milliseconds kClimbInterval{300};
/// So long new connections take to be opened and to come up to speed.
constexpr milliseconds kSettling{200};
/// An interval is longer where it would hold too few bytes a connection to mean anything, up to
/// kLongestInterval.
constexpr Bytes kIntervalBytes = kMiB;
constexpr milliseconds kLongestInterval{2000};
/// A measurement this old says nothing of the network now.
constexpr seconds kStale{5};
/// Less than the whole allowance in use: the interval says nothing of it.
constexpr double kFullyUsed = 0.9;
constexpr double kWorthMore = 1.10;
constexpr double kAsMuch = 0.993;
/// Trials end here: a second connection hides the first one's stalls.
constexpr size_t kFewestTried = 2;
constexpr seconds kTrialPause{10};
constexpr seconds kTrialGoesOn{2};

constexpr seconds kRefusalPause{2};
constexpr seconds kLongestRefusalPause{60};
constexpr seconds kSameRefusal{1};
constexpr seconds kCeilingLife{60};
constexpr seconds kLongestCeilingLife{600};
/// A loss counts one, and this many bytes take one away.
constexpr double kBytesPerLoss = 8.0 * kMiB;
constexpr double kLossesBorne = 4;
constexpr seconds kLossPause{5};

}  // namespace

HostPace::HostPace(size_t limit, Time now)
    : limit_(limit),
      allowance_(std::min(kStart, limit)),
      good_(allowance_),
      judged_(now),
      ceiling_life_(kCeilingLife),
      settled_(now + kSettling),
      interval_begin_(now),
      integrated_(now) {}

void HostPace::SetLimit(size_t limit, Time now) {
  if (limit == limit_) return;
  bool larger = limit > limit_;
  limit_ = limit;
  good_ = std::min(good_, limit);
  if (allowance_ > limit) Change(limit, now);
  if (!larger) return;
  // A trial under way would have us wait for the next one.
  GiveUpTrial(now);
  more_next_ = true;
  next_trial_ = now;
}

void HostPace::Integrate(Time now) {
  connection_seconds_ += static_cast<double>(in_use_) * Seconds(now - integrated_).count();
  integrated_ = now;
}

void HostPace::SetInUse(size_t in_use, Time now) {
  Integrate(now);
  // The first connections after a pause come up to speed again.
  if (in_use_ == 0) settled_ = std::max(settled_, now + kSettling);
  in_use_ = in_use;
}

void HostPace::AddBytes(Bytes count) {
  bytes_ += count;
  loss_debt_ = std::max(0.0, loss_debt_ - static_cast<double>(count) / kBytesPerLoss);
}

void HostPace::BeginInterval(Time now) {
  interval_begin_ = now;
  bytes_ = 0;
  limited_ = false;
  connection_seconds_ = 0;
}

void HostPace::Change(size_t allowance, Time now) {
  allowance_ = allowance;
  doubted_ = false;
  settled_ = now + kSettling;
  BeginInterval(now);
}

void HostPace::Measure(Time now) {
  Integrate(now);
  if (now < settled_) return BeginInterval(now);
  auto elapsed = now - interval_begin_;
  bool enough = bytes_ >= allowance_ * kIntervalBytes || elapsed >= kLongestInterval;
  if (elapsed < (phase_ == Phase::kGrowing ? kClimbInterval : kInterval) || !enough) return;
  double rate = static_cast<double>(bytes_) / Seconds(elapsed).count();
  double used = connection_seconds_ / Seconds(elapsed).count();
  bool limited = limited_;
  BeginInterval(now);
  rate_ = rate;
  if (now < hold_until_ || used < kFullyUsed * static_cast<double>(allowance_)) return;
  if (limited) return GiveUpTrial(now);
  Judge(rate, now);
}

void HostPace::GiveUpTrial(Time now) {
  if (phase_ == Phase::kHolding) return;
  more_next_ = true;
  descending_ = false;
  Change(good_, now);
  Hold(now, kTrialPause);
}

void HostPace::Judge(double rate, Time now) {
  if (phase_ != Phase::kHolding && now - judged_ > kStale) {
    allowance_ = std::min(allowance_, good_);
    phase_ = Phase::kGrowing;
    baseline_ = 0;
  }
  bool worth = rate >= baseline_ * (phase_ == Phase::kFewer ? kAsMuch : kWorthMore);
  Phase phase = phase_;
  judged_ = now;
  // One short interval may have held a stall; it would cost seconds until the next trial.
  if (phase == Phase::kGrowing && !worth && !std::exchange(doubted_, true)) return;
  if (phase != Phase::kHolding && !worth) {
    more_next_ = phase == Phase::kFewer;
    descending_ = false;
    Change(good_, now);
    return Hold(now, kTrialPause);
  }
  good_ = allowance_;
  // Step after step is compared with the same rate, or many small losses would add up.
  if (phase == Phase::kFewer) descending_ = true;
  baseline_ = descending_ ? std::max(baseline_, rate) : rate;
  if (phase == Phase::kGrowing) return Grow(now);
  if (phase == Phase::kFewer) return Hold(now, kTrialGoesOn);
  if (now >= next_trial_) TryAnother(now);
}

void HostPace::Grow(Time now) {
  size_t most = now < ceiling_until_ ? std::min(limit_, ceiling_) : limit_;
  size_t next = std::min(most, std::max(allowance_ + 1, allowance_ * 3 / 2));
  if (next <= allowance_) {
    more_next_ = false;
    return Hold(now, kTrialPause);
  }
  phase_ = Phase::kGrowing;
  Change(next, now);
}

void HostPace::Hold(Time now, milliseconds until_trial) {
  phase_ = Phase::kHolding;
  next_trial_ = now + until_trial;
}

void HostPace::TryAnother(Time now) {
  if (more_next_) {
    descending_ = false;
    return Grow(now);
  }
  size_t step = std::max<size_t>(1, allowance_ / 8);
  if (allowance_ < kFewestTried + step) {
    more_next_ = true;
    descending_ = false;
    return Hold(now, kTrialPause);
  }
  phase_ = Phase::kFewer;
  Change(allowance_ - step, now);
}

void HostPace::Shrink(size_t allowance, milliseconds pause, Time now) {
  good_ = std::max<size_t>(1, allowance);
  baseline_ = 0;
  descending_ = false;
  phase_ = Phase::kGrowing;
  hold_until_ = std::max(hold_until_, now + pause);
  Change(good_, now);
}

void HostPace::OnRefused(std::optional<milliseconds> retry_after, Time now) {
  milliseconds pause = std::clamp<milliseconds>(retry_after.value_or(kRefusalPause), kRefusalPause,
                                                kLongestRefusalPause);
  if (refused_ != Time() && now - refused_ < kSameRefusal) {
    hold_until_ = std::max(hold_until_, now + pause);
    return;
  }
  // A refusal soon after the last ceiling ended: it still holds, so ask less often.
  bool again = ceiling_ != 0 && now - ceiling_until_ < kCeilingLife;
  ceiling_life_ = again ? std::min(ceiling_life_ * 2, kLongestCeilingLife) : kCeilingLife;
  ceiling_ = std::max<size_t>(2, std::min(in_use_, allowance_)) - 1;
  ceiling_until_ = now + pause + ceiling_life_;
  refused_ = now;
  Shrink(allowance_ / 2, pause, now);
}

void HostPace::OnLost(Time now) {
  loss_debt_ += 1;
  if (loss_debt_ < kLossesBorne) return;
  loss_debt_ = 0;
  Shrink(allowance_ * 3 / 4, kLossPause, now);
}

}  // namespace weighhouse::fill
