#include "cache-daemon/source/s3/aws_key_answers.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr std::chrono::system_clock::time_point kNow{seconds(1'800'000'000)};  // 2027-01-15T08:00Z

Result<AwsKeyAnswer> JsonAnswer(const std::string& session_token, const std::string& expiration) {
  return ParseJsonKeys(fmt::format(R"({{"AccessKeyId":"ASIA1","SecretAccessKey":"s1",)"
                                   R"("Token":"{}","Expiration":"{}"}})",
                                   session_token, expiration),
                       "a test", kNow);
}

TEST(AwsKeyAnswersTest, SayHowLongTheKeysHold) {
  auto life = [](const char* expiration) { return JsonAnswer("t1", expiration).value().life; };
  EXPECT_EQ(life("2027-01-15T09:00:00Z"), hours(1));
  EXPECT_EQ(life("2027-01-15T09:00:00.75Z"), hours(1));
  EXPECT_EQ(life("2027-01-15T09:00:00"), hours(1));
  EXPECT_EQ(life("2027-01-15T14:30:00+05:30"), hours(1));
  EXPECT_EQ(life("2027-01-15T01:00:00-08:00"), hours(1));
  EXPECT_EQ(life("2001-01-01T00:00:00Z"), seconds(0));
  EXPECT_EQ(life("9999-12-31T23:59:59Z"), hours(12));
  for (const char* unreadable : {"", "soon", "2027-01-15T09:00:00Zulu", "2027-01-15T09:00:00."}) {
    EXPECT_EQ(life(unreadable).has_value(), std::string_view(unreadable).ends_with('.'));
  }
}

TEST(AwsKeyAnswersTest, KeysThatWouldBeHeadersOfTheirOwnAreRefused) {
  for (const std::string& token : {std::string(R"(t1\r\nX-Evil: 1)"), std::string(R"(t1\u0000)"),
                                   std::string("t1 t2"), std::string(20'000, 't')}) {
    auto answer = JsonAnswer(token, "2027-01-15T09:00:00Z");
    ASSERT_FALSE(answer) << token;
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
    EXPECT_THAT(answer.error().message, Not(HasSubstr("t1")));
  }
}

TEST(AwsKeyAnswersTest, ACutOffDocumentGivesNoPartOfAKey) {
  std::string whole =
      "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
      "<AccessKeyId>ASIA2</AccessKeyId><SecretAccessKey>s2</SecretAccessKey>"
      "<SessionToken>t2t2t2</SessionToken></Credentials></AssumeRoleWithWebIdentityResult>"
      "</AssumeRoleWithWebIdentityResponse>";
  ASSERT_TRUE(ParseStsKeys(whole, "a test", kNow));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseStsKeys(whole.substr(0, size), "a test", kNow)) << size;
  }
}

TEST(AwsKeyAnswersTest, AnInstancesWordsMustBeSuch) {
  EXPECT_EQ(ParseInstanceSession("AQAEA==\n", "a test").value(), "AQAEA==");
  EXPECT_FALSE(ParseInstanceSession("AQAEA\r\nX-Evil: 1", "a test"));
  EXPECT_FALSE(ParseInstanceSession(std::string(5000, 'a'), "a test"));
  EXPECT_EQ(ParseInstanceRole(" my-role\r\nother\n", "a test").value(), "my-role");
  for (const char* text : {"", ".", "..", "<html lang>", "a b", "r\xC3\xB4le"}) {
    EXPECT_FALSE(ParseInstanceRole(text, "a test")) << text;
  }
}

std::string RefusalThatSays(const std::string& words, const std::string& token) {
  HttpRequest request{
      .method = HttpMethod::kPost,
      .url = "https://sts.example/",
      .headers = {"Authorization: MTIz=pods-name"},
      .body = "Action=AssumeRoleWithWebIdentity&WebIdentityToken=" + PercentEncode(token)};
  HttpResponse response{
      .headers = {},
      .body = "<Error><Code>AccessDenied</Code><Message>" + words + "</Message></Error>"};
  CHECK(response.headers.AddLine("HTTP/1.1 403 Forbidden\r\n"));
  return AwsKeysRefused(response, request, "a test").error().message;
}

TEST(AwsKeyAnswersTest, ARefusalRepeatsNoPartOfTheToken) {
  const std::string token = "eyJhbGciOi+/pods-name" + std::string(400, 'x');
  const std::string reason = "may not do sts:AssumeRoleWithWebIdentity";
  EXPECT_THAT(RefusalThatSays(reason, token), HasSubstr(reason));
  for (const std::string& shown : {token, PercentEncode(token)}) {
    for (size_t before : {0U, 200U, 270U}) {  // it is cut off at the message's 300th byte
      std::string message = RefusalThatSays(std::string(before, '.') + shown, token);
      EXPECT_THAT(message, Not(HasSubstr("eyJhbGci"))) << message;
      EXPECT_THAT(message, Not(HasSubstr("xxxxxxxx"))) << message;
      EXPECT_THAT(message, HasSubstr("[secret]"));
    }
  }
}

}  // namespace
}  // namespace weighhouse::source
