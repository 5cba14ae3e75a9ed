#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

/// The cache's own key, by which credentials are told apart without being kept. Whoever has lost it
/// has lost his grants, and fetches anew what the query of a URL chooses.
class GrantKey {
 public:
  /// `secret`: 64 hexadecimal digits.
  explicit GrantKey(std::string secret);

  /// 64 hexadecimal digits that are the same for the same credential at the same origin, and tell
  /// nothing of either to who hasn't the key; nor that two origins share a credential.
  std::string MacOf(std::string_view origin, std::string_view credential) const;
  /// The same of what is a secret wherever it is used. Never one that MacOf gives.
  std::string MacOfSecret(std::string_view secret) const;

 private:
  std::string secret_;
};

struct LoadedGrantKey {
  GrantKey key;
  bool is_new = false;  ///< what was made with another key says nothing any more
};
/// The key in the root; made, durably and for the daemon's user alone, where there is none, or none
/// that can be used.
Result<LoadedGrantKey> LoadGrantKey(io::Filesystem& filesystem, const RootLayout& layout);

}  // namespace weighhouse::store
