// A URL of a user, and in the second line what a server's Location or Link says to it.

#include <algorithm>
#include <chrono>

#include "cache-daemon/source/connection_policy.h"
#include "cache-daemon/source/signed_url.h"
#include "cache-daemon/source/url.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

void CheckUrl(const Url& url) {
  CHECK(url.scheme == "http" || url.scheme == "https");
  CHECK(!url.host.empty() && !url.port.empty() && url.path.starts_with('/'));
  std::string text = url.ToString();
  // What would end a request's line, or a header, is in no URL that is sent.
  CHECK(std::ranges::none_of(text, [](unsigned char c) { return c <= 0x20 || c >= 0x7F; }));
  Result<Url> again = Url::Parse(text);
  CHECK(again && again->SameOrigin(url));
  CHECK(again->path == url.path && again->query == url.query);
  CHECK(again->ToString() == text);
  // Of whom it is asked is what the policy judges, by its text and by its address.
  std::optional<IpAddress> literal = IpAddress::Parse(url.host);
  if (literal && KindOf(*literal) == AddressKind::kLoopback) {
    CHECK(!CheckAddress({}, url, *literal));
  }
  CHECK(url.scheme == "https" || url.IsLoopback() || !CheckScheme({}, url));
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(url, bytes) {
  std::string_view rest = bytes;
  Result<Url> url = Url::Parse(fuzz::TakeUntil(rest, '\n'));
  if (!url) {
    CHECK(url.error().code == Code::kInvalidArgument);
    return;
  }
  CheckUrl(*url);
  url->QueryValue("Expires");
  auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  auto expiry = SignedUrlExpiry(*url, now);
  CHECK(expiry >= now - std::chrono::minutes(5) && expiry <= now + std::chrono::minutes(50));
  // No signature is in what a file's origin is called.
  if (IsSigned(*url)) CHECK(UnsignedQuery(*url).size() < url->query.size());
  Result<Url> target = RedirectTarget(*url, rest);
  if (!target) return;
  CheckUrl(*target);
  CHECK(!(url->scheme == "https" && target->scheme == "http"));
}

}  // namespace weighhouse::source
