#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache-daemon/fill/filler.h"

namespace weighhouse::fill {

/// 401 or 403.
bool IsDenial(const Error& error);
/// A refusal concerns the one who asks; any other failure concerns the origin.
bool IsRefusal(const Error& error);

/// Who wants one file, and which of them it is fetched for now: with that one's credentials, from
/// that one's origin. When that fails, the next one's turn comes, so that an error is everybody's
/// only where everybody met one. Askers of several origins are all public ones (FillScheduler), and
/// no origin may hold up what another has: a slow one is left for one that isn't known to be as
/// slow. No I/O. On the loop thread.
class FileAskers {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Asker {
    std::shared_ptr<const FillRequest> request;  // shared with the fills that want the file
    ListedFile file;                             ///< as its listing names it
    std::optional<Error> failure;
    double bytes_per_second = 0;  ///< that its origin brought; 0: not measured yet
  };
  /// An origin as fast as this is not left for another that may be faster.
  static constexpr double kFastEnough = 16.0 * static_cast<double>(kMiB);

  /// A rate is what came within `window`.
  explicit FileAskers(std::chrono::milliseconds window) : window_(window) {}

  /// `file`: what another listing may have under another name.
  void Add(std::shared_ptr<const FillRequest> request, const ListedFile& file);
  const Asker& current() const { return askers_[current_]; }
  const std::string& current_origin() const { return OriginOf(current_); }
  const Asker& first() const { return askers_.front(); }
  bool HasOrigin(const std::string& origin) const;
  /// Somebody of another origin waits who hasn't failed.
  bool OthersWait() const { return NextOrigin().has_value(); }

  /// The current one failed (after a refusal it alone, else all of its origin): the next one's
  /// turn. False if nobody is left.
  bool MoveOn(const Error& error);
  /// About every 100 ms, with the bytes that have come over the network so far: true if another
  /// origin's turn has come, because it may be twice as fast as the current one.
  bool MoveOnIfSlow(Time now, Bytes fetched);
  /// What keeps the bytes from coming is not the origin.
  void ExcuseSlowness() { measured_since_.reset(); }

  /// What the last of that snapshot's askers failed with; nothing if none did.
  std::optional<Error> FailureOf(const std::string& snapshot_id) const;

 private:
  const std::string& OriginOf(size_t index) const;
  /// The next one of another origin, in turns.
  std::optional<size_t> NextOrigin() const;

  const std::chrono::milliseconds window_;
  std::vector<Asker> askers_;
  size_t current_ = 0;
  std::optional<Time> measured_since_;
  Bytes fetched_before_ = 0;
};

}  // namespace weighhouse::fill
