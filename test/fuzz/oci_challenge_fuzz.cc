// A registry's WWW-Authenticate.

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "cache-daemon/source/oci/challenge.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source::oci {

WEIGHHOUSE_FUZZ_TARGET(oci_challenge, bytes) {
  std::vector<Challenge> challenges = ParseChallenges(bytes);
  size_t taken = 0;
  for (const Challenge& challenge : challenges) {
    CHECK(!challenge.scheme.empty() && challenge.scheme == ToLower(challenge.scheme));
    CHECK(std::ranges::none_of(challenge.scheme, [](unsigned char c) { return c <= 0x20; }));
    taken += challenge.scheme.size();
    for (const auto& [name, value] : challenge.parameters) {
      CHECK(!name.empty() && name == ToLower(name) && challenge.Find(name) == value);
      taken += name.size() + value.size();
    }
  }
  CHECK(taken <= bytes.size());
  // What follows a challenge takes nothing from it: a proxy may append one of its own.
  std::vector<Challenge> more = ParseChallenges(std::string(bytes) + ", Basic realm=\"proxy\"");
  if (challenges.size() > 1) CHECK(more.size() >= challenges.size() - 1);
}

}  // namespace weighhouse::source::oci
