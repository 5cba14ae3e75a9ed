#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/grant_record.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

/// Of one origin, and of all of them. What is too much goes, the longest unasked first; of an
/// origin's that of the namespace that has most of them, so that no tenant drives out another's.
inline constexpr size_t kMostGrants = 100;
inline constexpr size_t kMostGrantedOrigins = 10'000;
inline constexpr size_t kMostGrantNamespaces = 16;

/// 64 hexadecimal digits: what an origin's grants are called on the disk.
std::string GrantsKey(const std::string& origin);

/// Both clocks at one moment: what turns one's times into the other's.
struct ClockPair {
  std::chrono::system_clock::time_point wall;
  std::chrono::steady_clock::time_point steady;

  static ClockPair Of(const Clock& clock) { return {clock.Now(), clock.Steady()}; }
  std::chrono::system_clock::time_point ToWall(std::chrono::steady_clock::time_point time) const;
  /// At most `steady`: a time from the wall's future is now.
  std::chrono::steady_clock::time_point ToSteady(std::chrono::system_clock::time_point time) const;
};

std::string GrantsToJson(const OriginGrants& grants, const ClockPair& now);
/// kDataLoss says what is wrong, also where it is another origin's than `key` says. Without those
/// from the future, but for a minute of it: whoever sets the clock back makes none live longer.
Result<OriginGrants> ParseGrants(std::string_view json, const std::string& key,
                                 const ClockPair& now);

/// The grants by GrantsKey, and what sources refused lately. Guarded by the store's mutex; does no
/// I/O.
class GrantBook {
 public:
  /// What the disk has.
  void Load(const std::string& key, OriginGrants grants);
  /// Takes the source's word down, unless it refused since it was asked for it. Whether the disk
  /// should have it: no, where all that is new is a time by less than five minutes.
  bool Put(const std::string& key, const std::string& mac, const GrantUse& use);
  /// The source refused at `now`, whichever files. Whether the disk may have a grant with that mac.
  bool Refuse(const std::string& key, const std::string& mac,
              std::chrono::steady_clock::time_point now);
  /// Forgets those of an origin that were asked for before `time`.
  void RemoveBefore(const std::string& key, std::chrono::steady_clock::time_point time);
  /// One origin's grants as they are now, to be written.
  struct Copy {
    OriginGrants grants;
    /// Set: the disk may say more of the origin than is true; counts what was taken back of it.
    std::optional<uint64_t> stale;
  };
  Copy CopyOf(const std::string& key) const;
  /// The disk has `written`, or nothing of the origin. What was taken back since it was copied, the
  /// disk may still say.
  void MarkRecorded(const std::string& key, const Copy& written);
  /// Null: there is none with that mac for these files. Compares in constant time.
  const Grant* Find(const std::string& key, std::string_view mac, std::string_view choice) const;
  /// The origin to forget while there are too many: the one that was asked for least lately.
  std::optional<std::string> Surplus(size_t most) const;
  /// The keys of origins with a grant that was asked for before `time`.
  std::vector<std::string> AskedBefore(std::chrono::steady_clock::time_point time) const;
  size_t count() const;  ///< of grants

 private:
  using Refusal = std::pair<std::string, std::string>;  ///< key and mac
  void ForgetOldRefusals(std::chrono::steady_clock::time_point now);

  std::map<std::string, OriginGrants> origins_;
  /// The origins of which the disk may say too much, by their keys, each with the number of what
  /// was taken back of it last.
  std::map<std::string, uint64_t> stale_;
  uint64_t taken_back_ = 0;
  std::map<Refusal, std::chrono::steady_clock::time_point> refused_;
};

/// Reads what is in grants/, and removes what says nothing: a grant that can't be read is none.
/// With a new key none says anything.
Result<GrantBook> ReadGrants(io::Filesystem& filesystem, const RootLayout& layout, bool key_is_new,
                             const ClockPair& now);

}  // namespace weighhouse::store
