#include "cache-daemon/source/s3/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"

namespace weighhouse::source {
namespace {

using testing::EndsWith;

/// The account of AWS' own examples.
const AwsKeys kExampleKeys{.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                           .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                           .session_token = ""};

/// 2013-05-24T00:00:00Z
SignatureScope ExampleScope() {
  return {.region = "us-east-1",
          .time = std::chrono::system_clock::time_point(std::chrono::seconds(1369353600))};
}

std::string SignExample(std::string_view method, const std::string& url,
                        std::vector<std::pair<std::string, std::string>> headers,
                        std::string payload = std::string(kEmptyPayload)) {
  Url parsed = Url::Parse(url).value();
  return SigV4Headers({.method = method,
                       .url = parsed,
                       .headers = std::move(headers),
                       .payload_sha256 = std::move(payload)},
                      kExampleKeys, ExampleScope())
      .back();
}

// Published by AWS: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
TEST(SigV4Test, SignsTheGetOfAws) {
  EXPECT_EQ(SignExample("GET", "https://examplebucket.s3.amazonaws.com/test.txt",
                        {{"range", "bytes=0-9"}}),
            "Authorization: AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4Test, SignsThePutOfAws) {
  EXPECT_THAT(
      SignExample("PUT", "https://examplebucket.s3.amazonaws.com/test%24file.text",
                  {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                   {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                  Digest::Of("Welcome to Amazon S3.").Hex()),
      EndsWith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST(SigV4Test, SignsTheQueryWithoutValueOfAws) {
  EXPECT_THAT(
      SignExample("GET", "https://examplebucket.s3.amazonaws.com/?lifecycle", {}),
      EndsWith("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST(SigV4Test, SignsTheListOfAws) {
  EXPECT_THAT(
      SignExample("GET", "https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2", {}),
      EndsWith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

// get-vanilla of the suite that AWS published for signers (aws-sig-v4-test-suite).
TEST(SigV4Test, SignsTheVanillaRequestOfTheSuite) {
  Url url = Url::Parse("https://example.amazonaws.com/").value();
  EXPECT_THAT(
      SigV4Authorization(
          {.method = "GET",
           .url = url,
           .headers = {{"x-amz-date", "20150830T123600Z"}},
           .payload_sha256 = std::string(kEmptyPayload)},
          {.access_key_id = "AKIDEXAMPLE",
           .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
           .session_token = ""},
          {.region = "us-east-1",
           .service = "service",
           .time = std::chrono::system_clock::time_point(std::chrono::seconds(1440938160))}),
      EndsWith("SignedHeaders=host;x-amz-date, "
               "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));
}

TEST(SigV4Test, SendsTheSessionTokenAndSignsIt) {
  Url url = Url::Parse("https://b.s3.us-east-1.amazonaws.com/k").value();
  AwsKeys keys = kExampleKeys;
  keys.session_token = "token";
  auto headers = SigV4Headers(
      {.method = "GET", .url = url, .headers = {}, .payload_sha256 = std::string(kEmptyPayload)},
      keys, ExampleScope());
  EXPECT_THAT(headers, testing::Contains("x-amz-security-token: token"));
  EXPECT_THAT(headers.back(),
              testing::HasSubstr("SignedHeaders=host;x-amz-content-sha256;x-amz-date;"
                                 "x-amz-security-token,"));
}

}  // namespace
}  // namespace weighhouse::source
