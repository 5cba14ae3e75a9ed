#include "cache-daemon/source/hub_errors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Error FailureOf(int status, std::initializer_list<std::string> lines, bool with_token = false,
                const std::string& said = "") {
  HttpResponse response;
  response.headers.AddLine("HTTP/1.1 " + std::to_string(status) + " X");
  for (const std::string& line : lines) response.headers.AddLine(line);
  HubQuestion question{.web_page = "https://huggingface.co/org/name",
                       .repository = "org/name",
                       .revision = "v1",
                       .path = "config.json",
                       .with_token = with_token};
  return HubFailure(response, question, said, {});
}

TEST(HubFailureTest, NamesAMissingRevision) {
  Error error = FailureOf(404, {"X-Error-Code: RevisionNotFound"});
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_THAT(error.message, HasSubstr("no revision 'v1'"));
}

TEST(HubFailureTest, NamesAMissingFile) {
  Error error = FailureOf(404, {"X-Error-Code: EntryNotFound"});
  EXPECT_EQ(error.code, Code::kNotFound);
  EXPECT_THAT(error.message, HasSubstr("no file 'config.json'"));
}

TEST(HubFailureTest, SaysWhereTheLicenceOfAGatedModelIsAccepted) {
  for (int status : {401, 403}) {
    Error error = FailureOf(status, {"X-Error-Code: GatedRepo"}, status == 403);
    EXPECT_EQ(error.code, Code::kPermissionDenied);
    EXPECT_THAT(error.message,
                HasSubstr("accept the licence at https://huggingface.co/org/name, then use a "
                          "token of that account"));
  }
}

TEST(HubFailureTest, KnowsADisabledRepository) {
  Error error = FailureOf(403, {"X-Error-Message: Access to this resource is disabled."});
  EXPECT_EQ(error.code, Code::kPermissionDenied);
  EXPECT_THAT(error.message, HasSubstr("disabled"));
}

TEST(HubFailureTest, PassesOnCodesThatItDoesntKnow) {
  Error error = FailureOf(451, {"X-Error-Code: UnavailableForLegalReasons"}, true, "not here");
  EXPECT_EQ(error.code, Code::kFailedPrecondition);
  EXPECT_THAT(error.message,
              HasSubstr("(HTTP 451), UnavailableForLegalReasons; it says: not here"));
}

TEST(HubFailureTest, TellsStrangersThatMissingAndPrivateLookAlike) {
  for (Error error : {FailureOf(401, {}), FailureOf(401, {"X-Error-Code: RepoNotFound"})}) {
    EXPECT_EQ(error.code, Code::kUnauthenticated);
    EXPECT_THAT(error.message, HasSubstr("doesn't exist, or is private or gated"));
  }
  EXPECT_EQ(FailureOf(404, {"X-Error-Code: RepoNotFound"}, true).code, Code::kNotFound);
}

TEST(HubFailureTest, TellsWhereAnotherAccountMayHaveIt) {
  EXPECT_TRUE(FailureOf(401, {}).rights_may_help);
  EXPECT_TRUE(FailureOf(404, {"X-Error-Code: RepoNotFound"}, true).rights_may_help);
  EXPECT_TRUE(FailureOf(403, {"X-Error-Code: GatedRepo"}, true).rights_may_help);
  EXPECT_TRUE(FailureOf(403, {}, true).rights_may_help);
  EXPECT_TRUE(
      FailureOf(401, {}, true, "Invalid credentials in Authorization header").rights_may_help);
  EXPECT_FALSE(FailureOf(404, {}, true).rights_may_help);
  EXPECT_FALSE(FailureOf(404, {"X-Error-Code: RevisionNotFound"}, true).rights_may_help);
  EXPECT_FALSE(
      FailureOf(403, {"X-Error-Message: Access to this resource is disabled."}).rights_may_help);
}

TEST(HubFailureTest, KnowsABadToken) {
  const std::string kText = "Invalid credentials in Authorization header";
  EXPECT_THAT(FailureOf(401, {"X-Error-Message: " + kText}, true).message,
              HasSubstr("doesn't accept the token"));
  Error error = FailureOf(401, {}, true, kText);
  EXPECT_EQ(error.code, Code::kUnauthenticated);
  EXPECT_THAT(error.message, HasSubstr("doesn't accept the token"));
}

TEST(HubFailureTest, KnowsATokenOfTooFewRights) {
  Error error = FailureOf(403, {}, true, "needs scope");
  EXPECT_EQ(error.code, Code::kPermissionDenied);
  EXPECT_THAT(error.message, HasSubstr("needs scope"));
}

TEST(HubFailureTest, WaitsAsLongAsTheHubAsks) {
  Error error = FailureOf(429, {"RateLimit: \"api\";r=0;t=4", "Retry-After: 99"});
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_EQ(error.retry_after, 5s);
}

TEST(HubFailureTest, CallsTroubleTemporaryAndRefusalsFinal) {
  for (int status : {302, 408, 500, 502, 503, 504})
    EXPECT_EQ(FailureOf(status, {}).code, Code::kUnavailable) << status;
  EXPECT_EQ(FailureOf(404, {}).code, Code::kNotFound);
  EXPECT_EQ(FailureOf(400, {}).code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace weighhouse::source
