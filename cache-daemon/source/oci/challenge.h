#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weighhouse::source::oci {

/// One way that a server lets itself be convinced (RFC 9110 section 11.6.1).
struct Challenge {
  std::string scheme;  ///< lower case, such as "bearer"
  /// Names are lower case; of a name that is there twice the first counts.
  std::map<std::string, std::string> parameters;

  /// "" if it is not there.
  std::string Find(const std::string& name) const;
};

/// Takes a `WWW-Authenticate` apart (several fields joined by commas are one). What can't be read
/// ends the list: what stands before it counts.
std::vector<Challenge> ParseChallenges(std::string_view text);

}  // namespace weighhouse::source::oci
