#include "cache-daemon/source/http_headers.h"

#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

const system_clock::time_point kNow{1'800'000'000s};

HttpHeaders HeadersOf(std::initializer_list<std::string_view> lines) {
  HttpHeaders headers;
  for (std::string_view line : lines) EXPECT_TRUE(headers.AddLine(line));
  return headers;
}

TEST(HttpHeadersTest, FindsValuesByLowerCaseNames) {
  HttpHeaders headers = HeadersOf({"HTTP/1.1 206 Partial\r\n", "X-Linked-Size:  12 \r\n", "\r\n"});
  EXPECT_EQ(headers.status(), 206);
  EXPECT_EQ(headers.Find("x-linked-size"), "12");
  EXPECT_EQ(headers.Find("etag"), "");
  EXPECT_FALSE(headers.Has("etag"));
}

TEST(HttpHeadersTest, BeginsAnewWithEachStatusLine) {
  HttpHeaders headers =
      HeadersOf({"HTTP/1.1 103 Early\r\n", "Link: <a>\r\n", "\r\n", "HTTP/1.1 200 OK\r\n"});
  EXPECT_EQ(headers.status(), 200);
  EXPECT_FALSE(headers.Has("link"));
}

TEST(HttpHeadersTest, JoinsEqualNames) {
  EXPECT_EQ(HeadersOf({"Link: <a>; rel=\"x\"", "link: <b>; rel=\"next\""}).Find("link"),
            "<a>; rel=\"x\", <b>; rel=\"next\"");
}

TEST(HttpHeadersTest, TakesOddLinesWithoutHarm) {
  EXPECT_EQ(HeadersOf({"HTTP/1.1 abc", "no colon", ": no name", " folded: x"}).status(), 0);
  EXPECT_EQ(HeadersOf({"HTTP/1.1"}).status(), 0);
}

TEST(HttpHeadersTest, IsBounded) {
  HttpHeaders many, large;
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(many.AddLine("X-" + std::to_string(i) + ": 1"));
  EXPECT_FALSE(many.AddLine("X-more: 1"));
  EXPECT_FALSE(large.AddLine("X: " + std::string(70'000, 'a')));
}

TEST(HttpHeadersTest, CountsInterimAnswersTogether) {
  HttpHeaders headers;
  int lines = 0;
  while (headers.AddLine("HTTP/1.1 103 Early Hints\r\n") && headers.AddLine("Link: <a>\r\n"))
    ++lines;
  EXPECT_LT(lines, 3000);
}

TEST(ParseHttpDateTest, IsBoundedByWhatTheClockCanHold) {
  using std::chrono::year;
  auto year_of = [](const char* text) {
    auto date = ParseHttpDate(text).value();
    return std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(date)).year();
  };
  EXPECT_EQ(year_of("Fri, 31 Dec 9999 23:59:59 GMT"), year(2100));
  EXPECT_EQ(year_of("Sun, 01 Jan 0001 00:00:00 GMT"), year(1970));
  EXPECT_EQ(year_of("Sun, 06 Nov 1994 08:49:37 GMT"), year(1994));
}

TEST(ParseNumberTest, TakesDigitsOnly) {
  EXPECT_EQ(ParseNumber("0"), 0U);
  EXPECT_EQ(ParseNumber("18446744073709551615"), UINT64_MAX);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1.5", "18446744073709551616", "0x10"}) {
    EXPECT_FALSE(ParseNumber(bad)) << bad;
  }
}

TEST(RetryDelayTest, ReadsSecondsAndDates) {
  EXPECT_EQ(RetryDelay(HeadersOf({"Retry-After: 7"}), kNow), 7s);
  auto date = ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT");
  ASSERT_TRUE(date);
  EXPECT_EQ(*date, system_clock::time_point(784111777s));
  HttpHeaders headers = HeadersOf({"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT"});
  EXPECT_EQ(RetryDelay(headers, *date - 90s), 90s);
  EXPECT_EQ(RetryDelay(headers, *date + 90s), 0s) << "already past";
}

TEST(RetryDelayTest, PrefersTheExhaustedRateLimit) {
  EXPECT_EQ(RetryDelay(HeadersOf({"RateLimit: \"resolvers\";r=0;t=166", "Retry-After: 1"}), kNow),
            167s);
  EXPECT_EQ(RetryDelay(HeadersOf({"RateLimit: \"resolvers\";r=5;t=166", "Retry-After: 1"}), kNow),
            1s);
  EXPECT_EQ(RetryDelay(HeadersOf({"RateLimit: \"api\";r=0;t=3, \"resolvers\";r=0;t=9"}), kNow),
            10s);
}

TEST(ParseRateLimitTest, TakesTheLimitWithTheLeastLeftAndItsQuota) {
  auto limit = ParseRateLimit(HeadersOf({"RateLimit: \"api\";r=7;t=3, \"resolvers\";r=5;t=166",
                                         "RateLimit-Policy: \"fixed window\";\"api\";q=500;w=300, "
                                         "\"fixed window\";\"resolvers\";q=3000;w=300"}));
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->remaining, 5U);
  EXPECT_EQ(limit->reset, 166s);
  EXPECT_EQ(limit->quota, 3000U);
  auto alone = ParseRateLimit(HeadersOf({"RateLimit: \"api\";r=7;t=99999"}));
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->reset, 3600s);
  EXPECT_FALSE(alone->quota);
}

TEST(ParseRateLimitTest, IsAbsentWhereNothingUsableIsSaid) {
  for (const char* line : {"RateLimit: \"api\"", "RateLimit: \"api\";r=1", "RateLimit: r=-1;t=5",
                           "RateLimit: ,;=", "X-RateLimit: \"api\";r=1;t=1"}) {
    EXPECT_FALSE(ParseRateLimit(HeadersOf({line}))) << line;
  }
}

TEST(RetryDelayTest, IsAtMostAnHour) {
  EXPECT_EQ(RetryDelay(HeadersOf({"Retry-After: 18446744073709551615"}), kNow), 3600s);
  EXPECT_EQ(RetryDelay(HeadersOf({"RateLimit: \"a\";r=0;t=18446744073709551615"}), kNow), 3600s);
}

TEST(RetryDelayTest, IsAbsentWhereNothingUsableIsSaid) {
  for (const char* line :
       {"Retry-After: soon", "Retry-After: -5", "RateLimit: r=0", "RateLimit: ;;,=;",
        "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT trailing"}) {
    EXPECT_FALSE(RetryDelay(HeadersOf({line}), kNow)) << line;
  }
  EXPECT_FALSE(RetryDelay(HttpHeaders(), kNow));
}

TEST(ParseContentRangeTest, ReadsRangesAndTotals) {
  auto range = ParseContentRange("bytes 5-9/20");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->range, (ByteRange{5, 10}));
  EXPECT_EQ(range->total, 20U);
  EXPECT_FALSE(ParseContentRange("bytes 5-9/*")->total);
  for (const char* bad : {"", "bytes", "bytes 5-9", "bytes 9-5/20", "bytes -9/20", "bytes 5-/20",
                          "bytes 5-20/20", "items 5-9/20", "bytes */20", "bytes 5-9/x",
                          "bytes 0-18446744073709551615/*", "bytes 5-9/20, bytes 5-9/20"}) {
    EXPECT_FALSE(ParseContentRange(bad)) << bad;
  }
}

TEST(NextLinkTest, FindsTheNextPageAmongLinks) {
  EXPECT_EQ(NextLink("<https://h/a?cursor=x%3D>; rel=\"next\""), "https://h/a?cursor=x%3D");
  EXPECT_EQ(NextLink("<https://h/p>; rel=\"prev\", <https://h/n>; rel=next"), "https://h/n");
  EXPECT_EQ(NextLink("<u>; title=x; REL=\"first Next\" , <v>; rel=prev"), "u");
}

TEST(NextLinkTest, FindsNoneInOtherLinksAndGarbage) {
  for (const char* link :
       {"", "<a>", "<a>; rel=\"xet-auth\"", "a; rel=\"next\"", "<a; rel=\"next\"", ">a<; rel=next",
        "<a>; rel=\"nextpage\"", "<a>; xrel=next"}) {
    EXPECT_FALSE(NextLink(link)) << link;
  }
}

TEST(UnquoteEtagTest, DropsQuotesAndWeakness) {
  EXPECT_EQ(UnquoteEtag("\"abc\""), "abc");
  EXPECT_EQ(UnquoteEtag("W/\"abc\""), "abc");
  EXPECT_EQ(UnquoteEtag("abc"), "abc");
  EXPECT_EQ(UnquoteEtag("\""), "\"");
  EXPECT_EQ(UnquoteEtag(""), "");
}

}  // namespace
}  // namespace weighhouse::source
