#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/grant_record.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

/// Of one origin, and of all of them: what is too much goes, the longest unchecked first.
inline constexpr size_t kMostGrants = 100;
inline constexpr size_t kMostGrantedOrigins = 10'000;
inline constexpr size_t kMostGrantNamespaces = 16;

/// 64 hexadecimal digits: what an origin's grants are called on the disk.
std::string GrantsKey(const std::string& origin);

std::string GrantsToJson(const OriginGrants& grants);
/// kDataLoss says what is wrong, also where it is another origin's than `key` says.
Result<OriginGrants> ParseGrants(std::string_view json, const std::string& key);

/// The grant with that mac; null: none. Compares in constant time.
const Grant* FindGrant(const OriginGrants& grants, std::string_view mac);
/// Takes the source's word down. Whether the disk should have it: no, where all that is new is a
/// time by less than five minutes.
bool PutGrant(OriginGrants& grants, const std::string& mac, const GrantUse& use);
/// The disk has them as they are.
void MarkRecorded(OriginGrants& grants);
/// False: there was none.
bool RemoveGrant(OriginGrants& grants, std::string_view mac);

/// The grants by GrantsKey. Guarded by the store's mutex; does no I/O.
class GrantBook {
 public:
  /// Without grants: forgets the origin.
  void Put(const std::string& key, OriginGrants grants);
  /// Null: none.
  const OriginGrants* Find(const std::string& key) const;
  /// The origin to forget while there are too many: the one that was checked least lately.
  std::optional<std::string> Surplus(size_t most) const;
  /// The keys of origins with a grant that was checked before `time`.
  std::vector<std::string> CheckedBefore(std::chrono::system_clock::time_point time) const;
  size_t count() const;  ///< of grants

 private:
  std::map<std::string, OriginGrants> origins_;
};

/// Reads what is in grants/, and removes what says nothing: a grant that can't be read is none.
/// With a new key none says anything.
Result<GrantBook> ReadGrants(io::Filesystem& filesystem, const RootLayout& layout, bool key_is_new);

}  // namespace weighhouse::store
