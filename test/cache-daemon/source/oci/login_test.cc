#include "cache-daemon/source/oci/login.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/checksum.h"

namespace weighhouse::source::oci {
namespace {

using testing::HasSubstr;
using testing::Not;

Credentials ConfigOf(const std::string& auths) {
  return {.values = {{".dockerconfigjson", R"({"auths": {)" + auths + "}}"}}};
}

std::string Entry(const std::string& key, const std::string& user) {
  return fmt::format(R"("{}": {{"auth": "{}"}})", key, EncodeBase64(user + ":pass:word"));
}

/// The user that is found for `org/name` at `registry`; "" for none.
std::string UserFor(const std::string& registry, const std::string& auths,
                    const std::string& repository = "org/name") {
  auto login = LoginFor({.registry = registry, .repository = repository}, ConfigOf(auths));
  return login ? login->user : "error: " + login.error().message;
}

TEST(LoginTest, KnowsTheFormsOfAKey) {
  for (const char* key :
       {"reg.example.com", "https://reg.example.com", "http://reg.example.com/",
        "https://reg.example.com/v1/", "reg.example.com/v2/", "REG.example.com", "*.example.com",
        "r*g.example.com", "reg.example.com/org", "https://reg.example.com/v2/org/name/"}) {
    EXPECT_EQ(UserFor("reg.example.com", Entry(key, "u")), "u") << key;
  }
  for (const char* key : {"example.com", "reg.example.com:5000", "*.com", "*", "reg.example.com/or",
                          "reg.example.com/org/name/x", "other.example.com"}) {
    EXPECT_EQ(UserFor("reg.example.com", Entry(key, "u")), "") << key;
  }
  EXPECT_EQ(UserFor("reg.example.com:5000", Entry("reg.example.com:5000", "u")), "u");
  EXPECT_EQ(UserFor("reg.example.com:5000", Entry("reg.example.com", "u")), "");
}

TEST(LoginTest, TakesDockerHubByAnyOfItsNames) {
  for (const char* key : {"https://index.docker.io/v1/", "docker.io", "index.docker.io",
                          "registry-1.docker.io", "https://index.docker.io/v1/org"}) {
    EXPECT_EQ(UserFor("registry-1.docker.io", Entry(key, "u")), "u") << key;
  }
}

TEST(LoginTest, TakesTheLongestPath) {
  std::string auths = Entry("reg", "all") + "," + Entry("reg/org", "org") + "," +
                      Entry("reg/org/name", "name") + "," + Entry("r*", "star");
  EXPECT_EQ(UserFor("reg", auths, "org/name"), "name");
  EXPECT_EQ(UserFor("reg", auths, "org/name/deep"), "name");
  EXPECT_EQ(UserFor("reg", auths, "org/names"), "org");
  EXPECT_EQ(UserFor("reg", auths, "organisation/x"), "all");
  EXPECT_EQ(UserFor("rag", auths, "org/name"), "star");
}

TEST(LoginTest, SplitsAtTheFirstColonAndTakesTheOtherForms) {
  ImageName image{.registry = "r", .repository = "o/n"};
  auto login = LoginFor(image, ConfigOf(Entry("r", "user")));
  ASSERT_TRUE(login);
  EXPECT_EQ(login->password, "pass:word");
  login = LoginFor(image, ConfigOf(R"("r": {"username": "u", "password": "p"})"));
  ASSERT_TRUE(login);
  EXPECT_EQ(login->user + login->password, "up");
  login = LoginFor(image, ConfigOf(R"("r": {"identitytoken": "i"})"));
  ASSERT_TRUE(login);
  EXPECT_EQ(login->identity_token, "i");
  login = LoginFor(image, ConfigOf(R"("r": {"registrytoken": "t"})"));
  ASSERT_TRUE(login);
  EXPECT_EQ(login->registry_token, "t");
}

TEST(LoginTest, FallsBackToUserAndPassword) {
  Credentials credentials = ConfigOf(Entry("other", "x"));
  credentials.values["username"] = "u";
  credentials.values["password"] = "p\n";
  auto login = LoginFor({.registry = "r", .repository = "o/n"}, credentials);
  ASSERT_TRUE(login);
  EXPECT_EQ(login->user, "u");
  EXPECT_EQ(login->password, "p");
  login = LoginFor({.registry = "r", .repository = "o/n"}, {.values = {{"HF_TOKEN", "hf"}}});
  ASSERT_TRUE(login);
  EXPECT_TRUE(login->empty());
}

TEST(LoginTest, SaysWhatIsWrongWithoutSayingASecret) {
  for (const char* text :
       {"canary", R"({"auths": 1})", "[]", R"({"auths": {"r": {"auth": "canary!!"}}})",
        R"({"auths": {"r": {"auth": "Y2FuYXJ5"}}})", R"({"auths": {"r": {}}})",
        R"({"auths": {"r": "canary"}})", R"({"credsStore": "canary"})"}) {
    auto login =
        LoginFor({.registry = "r", .repository = "o/n"}, {.values = {{".dockerconfigjson", text}}});
    ASSERT_FALSE(login) << text;
    EXPECT_EQ(login.error().code, Code::kUnauthenticated);
    EXPECT_THAT(login.error().message, HasSubstr("kubectl create secret docker-registry"));
    EXPECT_THAT(login.error().message, Not(HasSubstr("canary")));
  }
}

TEST(LoginTest, ItsFingerprintTellsLoginsApart) {
  Login one{.user = "a", .password = "bc"}, other{.user = "ab", .password = "c"};
  EXPECT_NE(one.Fingerprint(), other.Fingerprint());
  EXPECT_NE(one.Fingerprint(), Login{}.Fingerprint());
}

}  // namespace
}  // namespace weighhouse::source::oci
