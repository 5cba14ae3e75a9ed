#include "cache-daemon/api/status_page.h"

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/digest.h"
#include "base/error.h"
#include "cache-daemon/api/status_page_parts.h"

namespace weighhouse::api {
namespace {

/// Puts `part` where `html` has `mark`.
void Insert(std::string& html, std::string_view mark, std::string_view part) {
  size_t at = html.find(mark);
  CHECK(at != std::string::npos);
  html.replace(at, mark.size(), part);
}

/// As a Content-Security-Policy names an inline element with exactly this text.
std::string HashSource(std::string_view text) {
  return fmt::format("'sha256-{}'", EncodeBase64(Digest::Of(text).Octets()));
}

}  // namespace

StatusPage MakeStatusPage() {
  StatusPage page{.html = std::string(kStatusPageHtml)};
  Insert(page.html, "{{style}}", kStatusPageStyle);
  Insert(page.html, "{{script}}", kStatusPageScript);
  page.content_security_policy = fmt::format(
      "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      "require-trusted-types-for 'script'; trusted-types 'none'",
      HashSource(kStatusPageStyle), HashSource(kStatusPageScript));
  return page;
}

}  // namespace weighhouse::api
