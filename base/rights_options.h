#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace weighhouse {

/// Whose rights to a private model that is here are looked at, and for how long what its source
/// said of them holds.
struct RightsOptions {
  enum class Policy {
    kVerify,                  ///< everybody's
    kNeverVerifyAllowlisted,  ///< everybody's, but of the models in `never_verify`
  };
  Policy policy = Policy::kVerify;
  std::vector<std::string> never_verify;  ///< globs of model URIs
  /// Those to whom the source gave it may have it for so long while the source is away.
  std::chrono::seconds grant_ttl{86400};
  /// So long it isn't asked again about a commit that is here: what it takes back goes unnoticed.
  std::chrono::seconds recheck_after{300};
  bool operator==(const RightsOptions&) const = default;
};

}  // namespace weighhouse
