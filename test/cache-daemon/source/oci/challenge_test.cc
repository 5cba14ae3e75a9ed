#include "cache-daemon/source/oci/challenge.h"

#include <gtest/gtest.h>

namespace weighhouse::source::oci {
namespace {

TEST(ChallengeTest, ReadsWhatTheSpecificationShows) {
  auto challenges = ParseChallenges(
      R"(Bearer realm="https://auth.example.com/token",service="registry.example.com",)"
      R"(scope="repository:org/name:pull,push")");
  ASSERT_EQ(challenges.size(), 1U);
  EXPECT_EQ(challenges[0].scheme, "bearer");
  EXPECT_EQ(challenges[0].Find("realm"), "https://auth.example.com/token");
  EXPECT_EQ(challenges[0].Find("service"), "registry.example.com");
  EXPECT_EQ(challenges[0].Find("scope"), "repository:org/name:pull,push");
  EXPECT_EQ(challenges[0].Find("error"), "");
}

TEST(ChallengeTest, ReadsSeveralWithSpacesQuotesAndEscapes) {
  auto challenges = ParseChallenges(
      R"(, BASIC  Realm = "a \"quoted\", comma" ,charset=UTF-8 , Negotiate, bearer realm=x,,scope="")");
  ASSERT_EQ(challenges.size(), 3U);
  EXPECT_EQ(challenges[0].scheme, "basic");
  EXPECT_EQ(challenges[0].Find("realm"), R"(a "quoted", comma)");
  EXPECT_EQ(challenges[0].Find("charset"), "UTF-8");
  EXPECT_EQ(challenges[1].scheme, "negotiate");
  EXPECT_TRUE(challenges[1].parameters.empty());
  EXPECT_EQ(challenges[2].scheme, "bearer");
  EXPECT_EQ(challenges[2].Find("realm"), "x");
}

TEST(ChallengeTest, TakesTheFirstOfANameThatIsThereTwice) {
  auto challenges = ParseChallenges(R"(Bearer realm="https://a/",realm="https://b/")");
  ASSERT_EQ(challenges.size(), 1U);
  EXPECT_EQ(challenges[0].Find("realm"), "https://a/");
}

TEST(ChallengeTest, EndsAtWhatItCantRead) {
  EXPECT_TRUE(ParseChallenges("").empty());
  EXPECT_TRUE(ParseChallenges("=,\"").empty());
  auto broken = ParseChallenges(R"(Basic realm="x", Bearer realm="never closed)");
  ASSERT_EQ(broken.size(), 2U);
  EXPECT_EQ(broken[1].Find("realm"), "");
}

TEST(ChallengeTest, BoundsHowMuchItKeeps) {
  std::string many, parameters = "Bearer ";
  for (int i = 0; i < 10'000; ++i) {
    many += "S" + std::to_string(i) + " a=b, ";
    parameters += "p" + std::to_string(i) + "=v,";
  }
  EXPECT_EQ(ParseChallenges(many).size(), 16U);
  EXPECT_EQ(ParseChallenges(parameters)[0].parameters.size(), 32U);
}

}  // namespace
}  // namespace weighhouse::source::oci
