#include "cache-daemon/source/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;

Url Parsed(std::string_view text) {
  Result<Url> url = Url::Parse(text);
  EXPECT_TRUE(url) << text << ": " << url.error().message;
  return url.value_or(Url{});
}

std::string Joined(std::string_view base, std::string_view location) {
  Result<Url> url = Parsed(base).Join(location);
  return url ? url->ToString() : "";
}

TEST(UrlTest, TakesUrlsApart) {
  Url url = Parsed("HTTPS://Hub.Example/org/na%20me?a=b%2Bc&d#part");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "hub.example");
  EXPECT_EQ(url.port, "443");
  EXPECT_EQ(url.path, "/org/na%20me");
  EXPECT_EQ(url.query, "a=b%2Bc&d");
  EXPECT_EQ(url.ToString(), "https://hub.example/org/na%20me?a=b%2Bc&d");
  EXPECT_EQ(url.ToPublicString(), "https://hub.example/org/na%20me");
}

TEST(UrlTest, KeepsPathsVerbatimBecauseSignaturesCoverThem) {
  EXPECT_EQ(Parsed("https://h/a/../b//c/./d").path, "/a/../b//c/./d");
}

TEST(UrlTest, HostsThatMeanAnAddressAreThatAddressHoweverTheyAreEscaped) {
  for (const char* text : {"http://0x7f000001/", "http://0x7f0000%301/", "http://%32130706433/"}) {
    EXPECT_EQ(Parsed(text).host, "127.0.0.1") << text;
    EXPECT_EQ(Parsed("https://h/").Join(text)->host, "127.0.0.1") << text;
  }
}

TEST(UrlTest, HostsThatAreEscapedMoreThanOnceAreRefused) {
  for (const char* text : {"http://0770707%%333/", "http://h%2541/", "http://h%25/"}) {
    Result<Url> url = Url::Parse(text);
    ASSERT_FALSE(url) << text << ": " << url->host;
    EXPECT_THAT(url.error().message, HasSubstr("escape within an escape"));
    EXPECT_FALSE(Parsed("https://h/").Join(text)) << text;
  }
}

TEST(UrlTest, EncodesWhatAUrlCantHold) {
  EXPECT_EQ(Parsed("https://h/ü b").ToString(), "https://h/%C3%BC%20b");
}

TEST(UrlTest, RefusesOtherSchemesUsersAndGarbage) {
  for (const char* bad : {"", "h/a", "file:///etc/passwd", "ftp://h/a", "https://",
                          "https://user@h/a", "https://user:pw@h/a", "https://h:99999/",
                          "gopher://h/", "https://h h/", "javascript:alert(1)"}) {
    EXPECT_FALSE(Url::Parse(bad)) << bad;
  }
  EXPECT_TRUE(Url::Parse("https://" + std::string(255, 'h') + "/a"));
  EXPECT_FALSE(Url::Parse("https://" + std::string(256, 'h') + "/a"));
}

TEST(UrlTest, LeavesTheQueryOutOfItsErrors) {
  Result<Url> url = Url::Parse("https://h:99999/a?X-Amz-Signature=canary");
  ASSERT_FALSE(url);
  EXPECT_THAT(url.error().message, Not(HasSubstr("canary")));
}

TEST(UrlTest, LeavesAUserOutOfItsErrors) {
  for (const char* text : {"https://user:canary@h/a", "user:canary@h/a", "https://u:can?ary@h/",
                           "https://u:canary/x@h:99999/a", "https://u:canary#x@h/"}) {
    Result<Url> url = Url::Parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_THAT(url.error().message, Not(HasSubstr("can"))) << text;
  }
  Result<Url> target = RedirectTarget(Parsed("https://h/a"), "https://user:canary@cdn/b");
  ASSERT_FALSE(target);
  EXPECT_THAT(target.error().message, Not(HasSubstr("canary")));
}

TEST(UrlTest, RefusesAHostThatIsNoAscii) {
  for (const char* text :
       {"https://b\xC3\xBC"
        "cher.example/",
        "https://b%C3%BCcher.example/", "https://a%7Fb/", "https://\xE2\x93\x94xample.com/"}) {
    Result<Url> url = Url::Parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().code, Code::kInvalidArgument);
  }
  EXPECT_THAT(Url::Parse("https://b\xC3\xBC"
                         "cher.example/")
                  .error()
                  .message,
              HasSubstr("xn--"));
  EXPECT_TRUE(Url::Parse("https://xn--bcher-kva.example/"));
  EXPECT_EQ(Joined("https://h/a", "//b%C3%BCcher.example/"), "");
}

TEST(UrlTest, JoinsLocations) {
  EXPECT_EQ(Joined("https://h/a/b?x=1", "/c/d?y=2"), "https://h/c/d?y=2");
  EXPECT_EQ(Joined("https://h/a/b?x=1", "c"), "https://h/a/c");
  EXPECT_EQ(Joined("https://h/a/b", "https://cdn:8/z?s=1"), "https://cdn:8/z?s=1");
  EXPECT_EQ(Joined("https://h/a/b", "//cdn/z"), "https://cdn/z");
  EXPECT_EQ(Joined("https://h/a/b", "file:///etc/passwd"), "");
  EXPECT_EQ(Joined("https://h/a/b", "https://user:pw@h/"), "");
}

TEST(UrlTest, ComparesOriginsBySchemeHostAndPort) {
  Url hub = Parsed("https://hub.example/a");
  EXPECT_TRUE(hub.SameOrigin(Parsed("https://HUB.example:443/b?c")));
  EXPECT_FALSE(hub.SameOrigin(Parsed("https://hub.example:444/a")));
  EXPECT_FALSE(hub.SameOrigin(Parsed("http://hub.example:443/a")));
  EXPECT_FALSE(hub.SameOrigin(Parsed("https://hub.example.evil/a")));
  EXPECT_FALSE(hub.SameOrigin(Parsed("https://evil-hub.example/a")));
}

TEST(UrlTest, KnowsTheLoopback) {
  for (const char* local : {"http://localhost/", "http://a.localhost:1/", "http://127.0.0.1/",
                            "http://127.1.2.3:8080/", "http://[::1]/"}) {
    EXPECT_TRUE(Parsed(local).IsLoopback()) << local;
  }
  for (const char* other : {"http://localhost.evil/", "http://127.0.0.1.evil.example/",
                            "http://10.0.0.1/", "http://128.0.0.1/", "http://[::2]/"}) {
    EXPECT_FALSE(Parsed(other).IsLoopback()) << other;
  }
}

TEST(UrlTest, FindsQueryValues) {
  Url url = Parsed("https://h/?Expires=12&a=b%2Bc&bad=%zz&empty=&flag");
  EXPECT_EQ(url.QueryValue("Expires"), "12");
  EXPECT_EQ(url.QueryValue("a"), "b+c");
  EXPECT_FALSE(url.QueryValue("bad"));
  EXPECT_EQ(url.QueryValue("empty"), "");
  EXPECT_EQ(url.QueryValue("flag"), "");
  EXPECT_FALSE(url.QueryValue("expires"));
}

TEST(PercentDecodeTest, RefusesBrokenEscapes) {
  EXPECT_EQ(PercentDecode("a%20b%2F"), "a b/");
  for (const char* bad : {"%", "%2", "%zz", "a%2"}) EXPECT_FALSE(PercentDecode(bad)) << bad;
}

TEST(RedirectTargetTest, RefusesTheStepDownToPlainHttp) {
  Result<Url> target = RedirectTarget(Parsed("https://hub.example/a"), "http://hub.example/a");
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(RedirectTarget(Parsed("http://localhost:1/a"), "http://127.0.0.1:2/b?s=1"));
  EXPECT_TRUE(RedirectTarget(Parsed("http://localhost:1/a"), "https://cdn.example/b"));
}

TEST(RedirectTargetTest, SaysWhoseLocationIsNoUse) {
  Result<Url> target = RedirectTarget(Parsed("https://hub.example/a"), "file:///etc/passwd");
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code, Code::kUnavailable);
  EXPECT_THAT(target.error().message, HasSubstr("hub.example:443"));
}

TEST(ShownUrlTest, ShowsNoSecret) {
  EXPECT_EQ(ShownUrl("https://host/path?token=x#y"), "https://host/path");
  EXPECT_EQ(ShownUrl("https://user:pa?s#s@minio:9000"), "https://[secret]@minio:9000");
  EXPECT_EQ(ShownUrl("user:pass@minio"), "[secret]@minio");
  for (const char* url : {"https://user:XYZ@minio", "ftp://user:XYZ@minio", "user:XYZ@minio",
                          "https://user:XYZ?Z@minio", "https://user:XYZ@minio:99999999"}) {
    Result<Url> parsed = Url::Parse(url);
    ASSERT_FALSE(parsed) << url;
    EXPECT_FALSE(parsed.error().message.contains("XYZ")) << parsed.error().message;
    Url from = Url::Parse("https://origin.example/x").value();
    Result<Url> target = RedirectTarget(from, url);
    EXPECT_TRUE(target || !target.error().message.contains("XYZ")) << url;
  }
}

}  // namespace
}  // namespace weighhouse::source
