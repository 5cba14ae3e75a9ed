#include "cache-daemon/source/proxies.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string ProxyFor(const Proxies& proxies, const char* url) {
  return proxies.For(Url::Parse(url).value());
}

TEST(ProxiesTest, EachSchemeHasItsOwn) {
  Proxies proxies{.http = "http://plain:1", .https = "http://tunnel:2"};
  EXPECT_EQ(ProxyFor(proxies, "http://h/"), "http://plain:1");
  EXPECT_EQ(ProxyFor(proxies, "https://h/"), "http://tunnel:2");
  EXPECT_EQ(ProxyFor({}, "https://h/"), "");
}

TEST(ProxiesTest, TheLoopbackIsNeverAskedThroughOne) {
  Proxies proxies{.http = "http://p:1", .https = "http://p:1"};
  for (const char* url :
       {"http://localhost/", "https://a.localhost/", "http://127.0.0.1:8/", "https://[::1]/"}) {
    EXPECT_EQ(ProxyFor(proxies, url), "") << url;
  }
}

struct Exception {
  const char* entry;
  const char* url;
  bool means;
};

TEST(ProxiesTest, ExceptionsAreHostsDomainsAndAddresses) {
  const Exception kCases[] = {
      {"*", "https://any.example/", true},
      {"host.example", "https://host.example/", true},
      {"HOST.example", "https://host.EXAMPLE/", true},
      {"example", "https://host.example/", true},
      {"example", "https://notexample/", false},
      {".example", "https://host.example/", true},
      {".example", "https://example/", false},
      {"*.example", "https://a.b.example/", true},
      {"*.example", "https://example/", false},
      {"host.example:8443", "https://host.example:8443/", true},
      {"host.example:8443", "https://host.example/", false},
      {"host.example:443", "https://host.example/", true},
      {"10.0.0.0/8", "https://10.1.2.3/", true},
      {"10.0.0.0/8", "https://11.1.2.3/", false},
      {"10.0.0.0/8", "https://10.example/", false},
      {"192.0.2.1", "https://192.0.2.1/", true},
      {"192.0.2.1:80", "http://192.0.2.1/", true},
      {"192.0.2.1:81", "http://192.0.2.1/", false},
      {"2001:db8::/32", "https://[2001:db8::1]/", true},
      {"[2001:db8::1]:443", "https://[2001:db8::1]/", true},
      {".", "https://host.example/", false},
  };
  for (const Exception& each : kCases) {
    Proxies proxies{.http = "http://p:1", .https = "http://p:1", .except = {each.entry}};
    EXPECT_EQ(ProxyFor(proxies, each.url).empty(), each.means) << each.entry << " " << each.url;
  }
}

class EnvironmentTest : public testing::Test {
 protected:
  void SetUp() override { Clear(); }
  void TearDown() override { Clear(); }
  static void Clear() {
    for (const char* name : {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy",
                             "ALL_PROXY", "no_proxy", "NO_PROXY"}) {
      unsetenv(name);
    }
  }
};

TEST_F(EnvironmentTest, SaysWhichProxies) {
  EXPECT_EQ(Proxies::OfEnvironment(), Proxies());
  setenv("HTTPS_PROXY", "proxy:3128", 1);
  setenv("NO_PROXY", "a, .b,", 1);
  EXPECT_EQ(Proxies::OfEnvironment(),
            (Proxies{.https = "http://proxy:3128", .except = {"a", ".b"}}));
  setenv("https_proxy", "https://lower:1", 1);
  setenv("ALL_PROXY", "http://all:2", 1);
  EXPECT_EQ(Proxies::OfEnvironment().https, "https://lower:1");
  EXPECT_EQ(Proxies::OfEnvironment().http, "http://all:2");
}

TEST(CheckProxyTest, TakesUrlsOfProxies) {
  for (const char* url : {"http://p:3128", "https://p", "http://user:p%40ss@p:3128/"}) {
    EXPECT_TRUE(CheckProxy(url)) << url;
  }
  for (const char* url : {"", "p:3128", "socks5://p:1", "http://", "http://p/path", "http://p?x"}) {
    Result<> checked = CheckProxy(url);
    ASSERT_FALSE(checked) << url;
    EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
  }
}

TEST(CheckProxyTest, NamesNoCredentials) {
  for (const char* url : {"socks5://user:canary@p:1", "http://user:canary@p/path",
                          "user:canary@p:3128", "http://user:ca@nary@"}) {
    std::string message = CheckProxy(url).error().message;
    EXPECT_THAT(message, Not(HasSubstr("nary"))) << url;
    EXPECT_THAT(message, HasSubstr("[secret]")) << url;
  }
}

}  // namespace
}  // namespace weighhouse::source
