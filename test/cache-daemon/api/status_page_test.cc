#include "cache-daemon/api/status_page.h"

#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.h"
#include "base/digest.h"

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;

/// What stands between the first `<tag>` and its end.
std::string Inside(const std::string& html, const std::string& tag) {
  size_t begin = html.find("<" + tag + ">") + tag.size() + 2;
  return html.substr(begin, html.find("</" + tag + ">") - begin);
}

size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(StatusPageTest, ItsPolicyAllowsItsOwnStyleAndScriptAndNothingElse) {
  StatusPage page = MakeStatusPage();
  auto hash = [&page](const std::string& tag) {
    return EncodeBase64(Digest::Of(Inside(page.html, tag)).Octets());
  };
  EXPECT_EQ(page.content_security_policy,
            "default-src 'none'; style-src 'sha256-" + hash("style") + "'; script-src 'sha256-" +
                hash("script") +
                "'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'");
  EXPECT_EQ(Count(page.html, "<script"), 1u);
  EXPECT_EQ(Count(page.html, "<style"), 1u);
  EXPECT_THAT(page.html, Not(HasSubstr("{{")));
}

TEST(StatusPageTest, LoadsNothingFromElsewhereAndMakesNoMarkupOfText) {
  std::string html = MakeStatusPage().html;
  EXPECT_EQ(Count(html, "://"), Count(html, "http://www.w3.org/2000/svg") + Count(html, "\"://\""));
  for (const char* word : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
                           "eval(", "style=", "onclick", "@import", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(word)));
  }
}

}  // namespace
}  // namespace weighhouse::api
