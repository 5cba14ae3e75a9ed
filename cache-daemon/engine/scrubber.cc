#include "cache-daemon/engine/scrubber.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace weighhouse {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::system_clock;

constexpr int kLowestPriority = 19;
constexpr auto kWhileBusy = 1s;
/// A day is waited for in parts: the wall clock may be set meanwhile.
constexpr nanoseconds kLongestWait = 10min;
constexpr auto kBetweenRecords = 1min;
constexpr auto kDay = 24h;

uint64_t DayOf(system_clock::time_point time) {
  return static_cast<uint64_t>(
      std::chrono::floor<std::chrono::days>(time).time_since_epoch().count());
}

nanoseconds UntilTomorrow(system_clock::time_point now) {
  return std::chrono::floor<std::chrono::days>(now) + kDay - now;
}

}  // namespace

Scrubber::Scrubber(const ScrubOptions& options, Parts parts)
    : options_(options), parts_(std::move(parts)), state_(parts_.store.ReadScrub()) {}

void Scrubber::Run() {
  bool go_on = true;
  while (go_on) go_on = parts_.wait(Step());
  Record();
}

void Scrubber::RunPolitely() {
  // Of this thread; the priority of its reads follows from it. Without, it is only less polite.
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kLowestPriority));
  Run();
}

ScrubView Scrubber::View() const {
  MutexLock lock(mutex_);
  bool today = state_.day == DayOf(parts_.clock.Now());
  return {.daily_bytes = options_.daily_bytes,
          .bytes_today = today ? state_.read_today : 0,
          .last_pass = state_.pass_ended,
          .failures = state_.failures};
}

nanoseconds Scrubber::Step() {
  RollDay();
  if (parts_.busy()) return kWhileBusy;
  Bytes charged = 0;
  {
    MutexLock lock(mutex_);
    charged = state_.charged;
  }
  if (charged >= options_.daily_bytes) {
    Record();
    return std::min(UntilTomorrow(parts_.clock.Now()), kLongestWait);
  }
  if (auto wait = EnsurePass()) return *wait;
  if (!rest_.empty()) {
    CheckNext();
    return 0s;
  }
  {
    MutexLock lock(mutex_);
    state_.under_way = false;
    state_.position.clear();
    state_.pass_ended = parts_.clock.Now();
  }
  Record();
  return 0s;
}

std::optional<nanoseconds> Scrubber::EnsurePass() {
  auto now = parts_.clock.Now();
  bool begins = false;
  std::string position;
  {
    MutexLock lock(mutex_);
    if (!state_.under_way) {
      auto since = now - state_.pass_begun;
      // Below 0: the clock was set back.
      if (since >= 0s && since < kDay) return std::min<nanoseconds>(kDay - since, kLongestWait);
      state_.under_way = begins = true;
      state_.pass_begun = now;
      state_.position.clear();
    } else if (!rest_.empty()) {
      return std::nullopt;
    }
    position = state_.position;
  }
  for (const store::Store::BlobUse& blob : parts_.store.Blobs("")) {
    std::string name = blob.sha256.Hex();
    if (name > position) rest_.emplace(std::move(name), blob.sha256);
  }
  if (begins) Record();
  return std::nullopt;
}

void Scrubber::CheckNext() {
  auto [name, blob] = *rest_.begin();
  ReadPace pace(options_.bytes_per_second, parts_.clock, parts_.wait);
  Result<std::optional<VerifyFinding>> checked =
      parts_.verifier.Check(blob, [&](Bytes bytes) { return AfterPiece(bytes, pace); });
  if (!checked && checked.error().code == Code::kCancelled) return;
  if (!checked)
    LogRepeated(LogLevel::kWarning,
                fmt::format("scrub: blob {} is passed over: {}", name, checked.error().message));
  rest_.erase(rest_.begin());
  bool bad = checked && checked->has_value();
  {
    MutexLock lock(mutex_);
    state_.position = name;
    if (bad) ++state_.failures;
  }
  if (bad || parts_.clock.Steady() - recorded_ >= kBetweenRecords) Record();
}

bool Scrubber::AfterPiece(Bytes bytes, ReadPace& pace) {
  RollDay();
  {
    MutexLock lock(mutex_);
    state_.read_today += bytes;
    state_.charged += bytes;
  }
  if (!pace.After(bytes)) return false;
  while (parts_.busy()) {
    if (!parts_.wait(kWhileBusy)) return false;
  }
  return true;
}

void Scrubber::RollDay() {
  uint64_t today = DayOf(parts_.clock.Now());
  MutexLock lock(mutex_);
  if (state_.day == today) return;
  // Where the clock was set back a day counts too: else it would have no budget until it is later.
  uint64_t days = today > state_.day ? today - state_.day : 1;
  Bytes budgets =
      days > state_.charged / options_.daily_bytes ? state_.charged : days * options_.daily_bytes;
  state_.charged -= budgets;
  state_.day = today;
  state_.read_today = 0;
}

void Scrubber::Record() {
  store::ScrubState state;
  {
    MutexLock lock(mutex_);
    state = state_;
  }
  recorded_ = parts_.clock.Steady();
  Result<> recorded = parts_.store.RecordScrub(state);
  if (!recorded)
    LogRepeated(LogLevel::kWarning,
                fmt::format("scrub: how far it is isn't recorded: {}", recorded.error().message));
}

}  // namespace weighhouse
