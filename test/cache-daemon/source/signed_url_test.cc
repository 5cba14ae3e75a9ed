#include "cache-daemon/source/signed_url.h"

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

// 2025-12-02T19:12:51Z: the moment of a true X-Amz-Date (facts/model-sources.md 1.3).
const system_clock::time_point kSigned{1764702771s};

Url UrlOf(const std::string& query) {
  return Url::Parse("https://cdn.example/object?" + query).value();
}

std::chrono::seconds LeftAfter(const std::string& query, system_clock::time_point now) {
  return std::chrono::floor<std::chrono::seconds>(SignedUrlExpiry(UrlOf(query), now) - now);
}

TEST(SignedUrlExpiryTest, IsAtMostFiftyMinutesLessTheMargin) {
  EXPECT_EQ(LeftAfter("Expires=1764706371", kSigned), 45min);
  EXPECT_EQ(LeftAfter("a=b", kSigned), 45min);
  EXPECT_EQ(LeftAfter("X-Amz-Date=20251202T191251Z&X-Amz-Expires=3600", kSigned), 45min);
}

TEST(SignedUrlExpiryTest, TakesTheEarliestOfWhatIsNamed) {
  EXPECT_EQ(LeftAfter("Expires=1764703771&X-Amz-Date=20251202T191251Z&X-Amz-Expires=3600", kSigned),
            900s);
  EXPECT_EQ(LeftAfter("X-Amz-Date=20251202T191251Z&X-Amz-Expires=100", kSigned), 90s);
  EXPECT_EQ(LeftAfter("X-Goog-Date=20251202T191251Z&X-Goog-Expires=100", kSigned), 90s);
}

TEST(SignedUrlExpiryTest, CountsFromTheSignatureNotFromNow) {
  EXPECT_EQ(LeftAfter("X-Amz-Date=20251202T191251Z&X-Amz-Expires=3600", kSigned + 3500s), 90s);
}

TEST(SignedUrlExpiryTest, TakesAPassedExpiryForAClockThatDiffers) {
  EXPECT_EQ(LeftAfter("X-Amz-Date=20251202T191251Z&X-Amz-Expires=1000", kSigned + 24h), 900s);
  EXPECT_EQ(LeftAfter("Expires=1764706371", kSigned + 24h), 45min);
}

TEST(SignedUrlExpiryTest, TakesGarbageForNothing) {
  for (const char* query :
       {"Expires=never", "Expires=18446744073709551615", "Expires=-1",
        "X-Amz-Date=20251399T991251Z&X-Amz-Expires=99999999999", "X-Amz-Date=&X-Amz-Expires="}) {
    EXPECT_EQ(LeftAfter(query, kSigned), 45min) << query;
  }
}

TEST(UnsignedQueryTest, LeavesWhatChoosesTheFile) {
  EXPECT_EQ(UnsignedQuery(UrlOf("file=b&token=T&a=1")), "a=1&file=b");
  EXPECT_EQ(UnsignedQuery(UrlOf("X-Amz-Signature=ab&X-Amz-Date=x&Expires=5")), "");
  EXPECT_EQ(UnsignedQuery(UrlOf("OSSAccessKeyId=a&Expires=5&Signature=b&v=2")), "v=2");
  const char* sas =
      "sv=2024-11-04&ss=b&srt=co&sr=d&sdd=2&sp=r&st=x&se=y&spr=https&sip=1&si=p&sig=z";
  EXPECT_EQ(UnsignedQuery(UrlOf(sas)), "") << "Azure's shared access signatures";
  EXPECT_EQ(UnsignedQuery(UrlOf("snapshot=2024&sv=2024&sr=b&sig=abc")), "snapshot=2024");
}

TEST(IsSignedTest, KnowsTheSignaturesOfTheClouds) {
  EXPECT_TRUE(IsSigned(UrlOf("X-Amz-Signature=ab&x=1")));
  EXPECT_TRUE(IsSigned(UrlOf("Policy=a&Signature=b&Key-Pair-Id=c")));
  EXPECT_TRUE(IsSigned(UrlOf("sv=2024&sig=abc")));
  EXPECT_FALSE(IsSigned(UrlOf("download=true&id=5")));
}

}  // namespace
}  // namespace weighhouse::source
