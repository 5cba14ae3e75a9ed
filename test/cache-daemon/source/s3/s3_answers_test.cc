#include "cache-daemon/source/s3/s3_answers.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/s3/s3_client.h"
#include "cache-daemon/source/s3/s3_place.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;

std::string ContentsOf(std::string_view key, std::string_view size, std::string_view etag) {
  return fmt::format("<Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag></Contents>", key, size,
                     etag);
}

std::string PageOf(const std::string& inside, const std::string& attributes = "") {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult" + attributes + ">" + inside +
         "</ListBucketResult>";
}

TEST(S3PageTest, ReadsObjectsInAnyNamespace) {
  for (const char* attributes : {"", " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"",
                                 " xmlns=\"http://doc.s3.amazonaws.com/2006-03-01/\""}) {
    auto page = ParseS3Page(PageOf(
        ContentsOf("a/&lt;b&gt; c", "12", "&quot;abc-2&quot;") + ContentsOf("directory/", "0", "x"),
        attributes));
    ASSERT_TRUE(page) << page.error().message;
    ASSERT_EQ(page->objects.size(), 1U);
    EXPECT_EQ(page->objects[0].key, "a/<b> c");
    EXPECT_EQ(page->objects[0].size, 12U);
    EXPECT_EQ(page->objects[0].etag, "\"abc-2\"");
    EXPECT_FALSE(page->next);
  }
}

TEST(S3PageTest, DecodesKeysOnlyWhereTheyAreEncoded) {
  std::string object = ContentsOf("a+b%2Bc%25d%2F", "1", "e") + ContentsOf("a+b%2Bc%25d", "1", "e");
  EXPECT_EQ(ParseS3Page(PageOf("<EncodingType>url</EncodingType>" + object))->objects[0].key,
            "a b+c%d");
  EXPECT_EQ(ParseS3Page(PageOf(object))->objects[0].key, "a+b%2Bc%25d%2F");
}

TEST(S3PageTest, SaysWhereItGoesOn) {
  auto page = ParseS3Page(PageOf(
      "<IsTruncated>true</IsTruncated><NextContinuationToken>1/a+b==</NextContinuationToken>"));
  EXPECT_EQ(page->next, "1/a+b==");
  EXPECT_EQ(ParseS3Page(PageOf("<IsTruncated>true</IsTruncated>")).error().code,
            Code::kInvalidArgument);
}

TEST(S3PageTest, RefusesHostileObjects) {
  for (const std::string& bad :
       {ContentsOf("", "1", "e"), ContentsOf("k", "", "e"), ContentsOf("k", "-1", "e"),
        ContentsOf("k", "99999999999999999999", "e"), ContentsOf("k", "4611686018427387905", "e"),
        ContentsOf("k", "1", ""), ContentsOf("k", "1", "e\n"),
        ContentsOf(std::string(1025, 'k'), "1", "e"), ContentsOf("k", "1", std::string(257, 'e')),
        "<EncodingType>url</EncodingType>" + ContentsOf("%zz", "1", "e")}) {
    auto page = ParseS3Page(PageOf(bad));
    ASSERT_FALSE(page) << bad.substr(0, 100);
    EXPECT_EQ(page.error().code, Code::kInvalidArgument);
  }
  for (const char* none : {"", "<html>login</html>", "<ListBucketResult>", "{}", "<Error/>"}) {
    EXPECT_EQ(ParseS3Page(none).error().code, Code::kUnavailable) << none;
  }
}

TEST(S3PageTest, RefusesWhatWouldTakeMemoryByNumber) {
  std::string elements, attributes = "<a";
  for (int i = 0; i < 200'000; ++i) elements += "<a/>", attributes += " b= ''";
  for (const std::string& many : {elements, attributes + "/>"}) {
    auto page = ParseS3Page(PageOf(many));
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code, Code::kInvalidArgument);
    EXPECT_EQ(ParseS3Error("<Error>" + many + "<Code>NoSuchKey</Code></Error>").code, "");
  }
  std::string full;
  for (int i = 0; i < 1000; ++i) full += ContentsOf(std::string(1024, '='), "1", "\"e\"");
  EXPECT_TRUE(ParseS3Page(PageOf(full)));
}

TEST(S3ChecksumTest, TakesTheBestOverTheWholeObject) {
  auto of = [](const std::vector<std::string>& lines) {
    HttpHeaders headers;
    headers.AddLine("HTTP/1.1 200 OK");
    for (const std::string& line : lines) headers.AddLine(line);
    return S3ChecksumOf(headers);
  };
  const std::string crc32c = "x-amz-checksum-crc32c: 4waSgw==";
  const std::string crc64 = "x-amz-checksum-crc64nvme: rosUhgp5mIg=";
  const std::string sha256 = "x-amz-checksum-sha256: FeKw09Mh84xB3rMPPk8bGS4E+K+mKWSOnIzMBJFySls=";
  EXPECT_EQ(of({}), std::nullopt);
  EXPECT_EQ(of({crc32c})->kind, ContentChecksum::Kind::kCrc32c);
  EXPECT_EQ(of({crc32c, crc64})->value, "ae8b14860a799888");
  EXPECT_EQ(of({crc32c, crc64, sha256})->kind, ContentChecksum::Kind::kSha256);
  EXPECT_EQ(of({sha256 + "-3", "x-amz-checksum-type: FULL_OBJECT"}), std::nullopt);
  EXPECT_EQ(of({crc32c, "x-amz-checksum-type: COMPOSITE"}), std::nullopt);
  EXPECT_EQ(of({"x-amz-checksum-sha1: AAAA"}), std::nullopt);
}

struct S3Case {
  int status;
  const char* code;
  bool with_keys;
  Code expected;
  const char* words;
};

class S3FailureTest : public testing::TestWithParam<S3Case> {};

TEST_P(S3FailureTest, SaysWhatToDo) {
  const S3Case& each = GetParam();
  HttpResponse response;
  response.headers.AddLine(fmt::format("HTTP/1.1 {} X", each.status));
  response.headers.AddLine("Retry-After: 7");
  if (*each.code != '\0') {
    response.body =
        fmt::format("<Error><Code>{}</Code><Message>Said so</Message></Error>", each.code);
  }
  Error error = S3Failure(response, {.subject = "s3://b/k", .with_keys = each.with_keys}, {});
  EXPECT_EQ(error.code, each.expected) << error.message;
  EXPECT_THAT(error.message, HasSubstr(each.words));
  EXPECT_THAT(error.message, HasSubstr("s3://b/k"));
  if (*each.code != '\0') {
    EXPECT_THAT(error.message, HasSubstr("Said so"));
  }
  EXPECT_EQ(error.retry_after.has_value(), each.expected == Code::kUnavailable);
}

TEST(S3SecretsTest, DoesNotRepeatWhatItWasSignedWith) {
  HttpResponse response;
  response.headers.AddLine("HTTP/1.1 400 X");
  response.body =
      "<Error><Code>InvalidToken</Code><Message>no: s3ss10n-t0ken of 51gn4tur3</Message></Error>";
  std::vector<std::string> headers = {
      "x-amz-security-token: s3ss10n-t0ken",
      "Authorization: AWS4-HMAC-SHA256 Credential=id/a, SignedHeaders=host, Signature=51gn4tur3"};
  Error error = S3Failure(response, {.subject = "s3://b/k", .headers = headers}, {});
  EXPECT_THAT(error.message, HasSubstr("no: [secret] of [secret]"));
}

INSTANTIATE_TEST_SUITE_P(
    All, S3FailureTest,
    testing::Values(S3Case{403, "AccessDenied", false, Code::kUnauthenticated, "AWS_ACCESS_KEY_ID"},
                    S3Case{403, "AccessDenied", true, Code::kPermissionDenied, "s3:GetObject"},
                    S3Case{403, "InvalidAccessKeyId", true, Code::kUnauthenticated, "new ones"},
                    S3Case{403, "SignatureDoesNotMatch", true, Code::kUnauthenticated, "new ones"},
                    S3Case{400, "ExpiredToken", true, Code::kUnauthenticated, "expired"},
                    S3Case{403, "RequestTimeTooSkewed", true, Code::kUnavailable, "clock"},
                    S3Case{403, "InvalidObjectState", true, Code::kFailedPrecondition, "archived"},
                    S3Case{404, "NoSuchBucket", true, Code::kNotFound, "no such bucket"},
                    S3Case{404, "", true, Code::kNotFound, "isn't there"},
                    S3Case{412, "", true, Code::kOutOfRange, "changed"},
                    S3Case{503, "SlowDown", true, Code::kUnavailable, "fewer requests"},
                    S3Case{500, "", true, Code::kUnavailable, "trouble"},
                    S3Case{301, "", true, Code::kFailedPrecondition, "sources.s3.region"},
                    S3Case{400, "", true, Code::kFailedPrecondition, "refuses"}));

TEST(S3PlaceTest, NamesTheBucketByHostOrByPath) {
  S3Place aws{.endpoint = {}, .bucket = "models"};
  EXPECT_EQ(aws.UrlOf("eu-west-1", "a b/ü+=", "")->ToString(),
            "https://models.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B%3D");
  EXPECT_EQ(aws.UrlOf("cn-north-1", "", "list-type=2")->ToString(),
            "https://models.s3.cn-north-1.amazonaws.com.cn/?list-type=2");
  S3Place dotted{.endpoint = {}, .bucket = "my.models"};
  EXPECT_EQ(dotted.UrlOf("eu-west-1", "k", "")->ToString(),
            "https://s3.eu-west-1.amazonaws.com/my.models/k");
  S3Place own{.endpoint = Url::Parse("http://127.0.0.1:9000/prefix").value(), .bucket = "models"};
  EXPECT_EQ(own.UrlOf("eu-west-1", "/k//l", "")->ToString(),
            "http://127.0.0.1:9000/prefix/models//k//l");
  EXPECT_EQ(own.UrlOf("eu-west-1", "", "list-type=2")->ToString(),
            "http://127.0.0.1:9000/prefix/models?list-type=2");
  own.addressing = S3Addressing::kVirtual;
  own.endpoint = Url::Parse("https://example.org:9000").value();
  EXPECT_EQ(own.UrlOf("eu-west-1", "k", "")->ToString(), "https://models.example.org:9000/k");
}

TEST(S3PlaceTest, TheOriginIsTheEndpointsNotTheRegions) {
  S3Place aws{.endpoint = {}, .bucket = "models"};
  EXPECT_EQ(aws.Origin("eu-west-1"), "s3+https://s3.amazonaws.com/models/");
  EXPECT_EQ(aws.Origin("us-east-1"), aws.Origin("eu-west-1"));
  EXPECT_NE(aws.Origin("cn-north-1"), aws.Origin("eu-west-1"));
  S3Place own{.endpoint = Url::Parse("http://127.0.0.1:9000").value(), .bucket = "models"};
  EXPECT_EQ(own.Origin("eu-west-1"), "s3+http://127.0.0.1:9000/models/");
}

TEST(S3RegionTest, IsAPartOfAHostsNameAndNoMore) {
  EXPECT_TRUE(IsS3Region("ap-southeast-3"));
  EXPECT_TRUE(IsS3Region("auto"));
  for (const char* bad : {"", "a.b", "evil.example/", "EU", "a b", "x@y"}) {
    EXPECT_FALSE(IsS3Region(bad)) << bad;
  }
}

}  // namespace
}  // namespace weighhouse::source
