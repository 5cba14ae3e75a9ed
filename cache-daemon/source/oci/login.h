#pragma once

#include <string>

#include "base/model.h"
#include "cache-daemon/source/oci/image_name.h"

namespace weighhouse::source::oci {

/// What one caller may show a registry. Secrets: never in a message.
struct Login {
  std::string user;
  std::string password;
  std::string identity_token;  ///< exchanged for an access token (OAuth 2.0's refresh token)
  std::string registry_token;  ///< an access token already

  bool empty() const {
    return user.empty() && password.empty() && identity_token.empty() && registry_token.empty();
  }
  /// Equal for equal logins, and no way back to one: for keys in memory.
  std::string Fingerprint() const;
};

/// What `credentials` hold for `image`: of `.dockerconfigjson` the entry whose key has the registry
/// and the longest path that the repository lies below (kubernetes.io, "Pull an image from a
/// private registry": `*` stands for a part of the host's name, or for some of it), else `username`
/// and `password`; else an empty one. kUnauthenticated for a `.dockerconfigjson` that can't be
/// read, and for an entry that can't be used.
Result<Login> LoginFor(const ImageName& image, const Credentials& credentials);

}  // namespace weighhouse::source::oci
