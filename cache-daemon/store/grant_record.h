#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weighhouse::store {

/// Some credential that may use an origin, because its source said so when it was asked with it.
/// The credential itself is never kept: `mac` is a keyed digest of it, with a key of this cache.
struct Grant {
  std::string mac;     ///< 64 hexadecimal digits
  std::string choice;  ///< of GrantUse, its sha256; empty: of all files
  /// When the source was asked last. By a clock that nobody sets: the disk alone has the wall's.
  std::chrono::steady_clock::time_point asked;
  /// The same, as the disk has it: a little older is worth no write. Unset: it has none.
  std::optional<std::chrono::steady_clock::time_point> recorded;
  /// Where the pods were that brought it: the namespace of a pod whose volume is inline is its
  /// secret's too. For people.
  std::vector<std::string> namespaces;
};

/// What `grants/<key>.json` says.
struct OriginGrants {
  std::string origin;
  std::vector<Grant> grants;
};

/// A source's word that a credential may use an origin.
struct GrantUse {
  std::string origin;
  /// All that the source goes by; equal texts are the same credential. Nothing of it is kept.
  std::string_view credential;
  /// Which files it was asked for, where each has rights of its own; equal texts are the same.
  std::string_view choice = {};
  std::string pod_namespace;  ///< empty: nobody's pod
  std::chrono::steady_clock::time_point asked;
};

}  // namespace weighhouse::store
