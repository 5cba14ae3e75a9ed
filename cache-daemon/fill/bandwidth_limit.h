#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cache-daemon/fill/filler.h"
#include "cache-daemon/fill/token_bucket.h"

namespace weighhouse::fill {

/// Who fetches under the limit: one file. Calls come from BandwidthLimit::Offer.
class BandwidthUser {
 public:
  virtual ~BandwidthUser() = default;
  /// What was refused may be tried again, soon.
  virtual void OnBandwidth() = 0;
};

/// How many bytes a second all fills together take from their connections: what is refused stays
/// in the sockets, and TCP slows the servers down. Fills that have bytes at hand get equal parts,
/// whatever their files and connections are; a prefetch beside a fill that somebody waits for gets
/// an eighth of its part. Without a rate everybody may take everything. (Start-time fair queueing:
/// each fill has a virtual time that its bytes move on, and the one that is behind goes first.) No
/// I/O and no thread of its own: on the strand.
class BandwidthLimit {
 public:
  struct Claim {
    const std::string& fill;  ///< the fill (snapshot) that the file belongs to
    FillPriority priority;
  };
  /// So long those who wait are left waiting at least: rarely enough that it costs nothing.
  static constexpr std::chrono::milliseconds kTurn{10};

  /// `bytes_per_second`: 0: no limit. `later`: have Offer called after so long, but not from within
  /// `later`.
  BandwidthLimit(Bytes bytes_per_second, const Clock& clock,
                 std::function<void(std::chrono::milliseconds)> later);

  /// Whether `user` may take bytes now; then it says so by Took. Otherwise it is called when it is
  /// its turn.
  bool MayTake(BandwidthUser& user, const Claim& claim);
  void Took(BandwidthUser& user, const Claim& claim, Bytes bytes);
  /// Whether `user` was refused bytes and hasn't taken all that it was offered since.
  bool Waits(const BandwidthUser& user) const;
  void Leave(const BandwidthUser& user);
  /// From now on. 0: no limit.
  void SetRate(Bytes bytes_per_second);
  /// Calls those who wait, the fill that is behind first.
  void Offer();

 private:
  struct Waiter {
    BandwidthUser* user;
    std::string fill;
    double start;         ///< its fill's virtual time when it began to wait
    bool called = false;  ///< in the last Offer: if it doesn't come by the next, it wants nothing
  };
  double StartOf(const std::string& fill) const;
  bool SomebodyElseIsBehind(const std::string& fill, double start) const;
  void Wait(BandwidthUser& user, const std::string& fill);

  const Clock& clock_;
  const std::function<void(std::chrono::milliseconds)> later_;
  std::optional<Bytes> rate_;          ///< nothing: before the first SetRate
  std::optional<TokenBucket> bucket_;  ///< nothing: no limit
  double slack_ = 0;                   ///< so far a fill may run ahead of those who wait
  bool called_later_ = false;
  std::list<Waiter> waiting_;
  std::map<std::string, double> finished_;  ///< each fill's virtual time after its last bytes
  double virtual_time_ = 0;                 ///< of what was taken last
};

}  // namespace weighhouse::fill
