// What services that give a node its own AWS keys answer: the first byte chooses STS' XML, the
// JSON of a container provider or an instance, an instance's session or role, or a refusal.

#include <algorithm>
#include <chrono>
#include <string>
#include <unordered_set>

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/text.h"
#include "cache-daemon/source/s3/aws_key_answers.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

constexpr std::string_view kAsked = "AWS STS";
/// The secret is looked for in messages in pieces of so many bytes.
constexpr size_t kSecretPieceBytes = 16;
/// Longer than what a message shows; with bytes that a form escapes.
const std::string& AskedWith() {
  static const std::string secret = [] {
    std::string text;
    for (uint32_t i = 0; text.size() < 700; ++i)
      text += EncodeBase64(std::to_string(i * 2654435761U));
    return text;
  }();
  return secret;
}

/// Whether it holds a piece of the secret as it is, or as a form has it.
bool HoldsPieceOfSecret(std::string_view text) {
  static const std::string in_form = PercentEncode(AskedWith());
  static const std::unordered_set<std::string_view> pieces = [] {
    std::unordered_set<std::string_view> all;
    for (std::string_view secret : {std::string_view(AskedWith()), std::string_view(in_form)}) {
      for (size_t at = 0; at + kSecretPieceBytes <= secret.size(); ++at) {
        all.insert(secret.substr(at, kSecretPieceBytes));
      }
    }
    return all;
  }();
  for (size_t at = 0; at + kSecretPieceBytes <= text.size(); ++at) {
    if (pieces.contains(text.substr(at, kSecretPieceBytes))) return true;
  }
  return false;
}

void CheckKeyFailure(const Error& error) {
  CHECK(error.code == Code::kUnavailable || error.code == Code::kFailedPrecondition);
  CHECK(error.message.contains(kAsked) && error.message.size() < 1000);
  CHECK(Printable(error.message, 1000) == error.message);
}

bool IsAHeadersWord(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7F; });
}

void CheckKeys(const Result<AwsKeyAnswer>& answer, std::string_view bytes) {
  if (!answer) return CheckKeyFailure(answer.error());
  const AwsKeys& keys = answer->keys;
  CHECK(!keys.access_key_id.empty() && IsAHeadersWord(keys.access_key_id));
  CHECK(!keys.secret_access_key.empty() && IsAHeadersWord(keys.secret_access_key));
  CHECK(IsAHeadersWord(keys.session_token));
  CHECK(bytes.size() <= kAwsKeyAnswerLimit);
  CHECK(keys.access_key_id.size() + keys.secret_access_key.size() + keys.session_token.size() <=
        bytes.size());
  if (!answer->life) return;
  CHECK(*answer->life >= std::chrono::seconds(0) && *answer->life <= std::chrono::hours(12));
}

void CheckWord(const Result<std::string>& word, std::string_view bytes) {
  if (!word) return CheckKeyFailure(word.error());
  CHECK(!word->empty() && word->size() <= std::min<size_t>(bytes.size(), 4096));
  CHECK(IsAHeadersWord(*word));
}

void ReplaceAllOf(std::string& text, std::string_view name, std::string_view with) {
  for (size_t at = text.find(name); at != std::string::npos;
       at = text.find(name, at + with.size())) {
    text.replace(at, name.size(), with);
  }
}

/// A server that repeats what it was asked with, anywhere: where the answer says @TOKEN@, the
/// token, @FORM@, the form's value, and @HEADER@, the header. The next byte makes the status.
void CheckRefusal(std::string_view bytes) {
  const std::string& secret = AskedWith();
  int status = 300 + fuzz::TakeByte(bytes) * 2;
  if (HoldsPieceOfSecret(bytes)) return;
  HttpRequest request{
      .method = HttpMethod::kPost,
      .url = "https://sts.eu-west-1.amazonaws.com/",
      .headers = {"Authorization: " + secret},
      .body = fmt::format("RoleSessionName={}&WebIdentityToken={}",
                          PercentEncode(secret.substr(32, 9)), PercentEncode(secret))};
  HttpResponse response{.headers = {}, .body = std::string(bytes.substr(0, kAwsKeyAnswerLimit))};
  ReplaceAllOf(response.body, "@TOKEN@", secret);
  ReplaceAllOf(response.body, "@FORM@", PercentEncode(secret));
  ReplaceAllOf(response.body, "@HEADER@", request.headers[0]);
  CHECK(response.headers.AddLine(fmt::format("HTTP/1.1 {} No\r\n", status)));
  Error error = AwsKeysRefused(response, request, kAsked).error();
  CheckKeyFailure(error);
  CHECK(error.message.contains(std::to_string(status)));
  CHECK(!HoldsPieceOfSecret(error.message));
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(aws_key_answers, bytes) {
  const auto now = std::chrono::system_clock::time_point(std::chrono::hours(500'000));  // in 2027
  std::string_view answer = bytes;
  switch (fuzz::TakeByte(answer)) {
    case 's':
      return CheckKeys(ParseStsKeys(answer, kAsked, now), answer);
    case 't':
      return CheckWord(ParseInstanceSession(answer, kAsked), answer);
    case 'r': {
      Result<std::string> role = ParseInstanceRole(answer, kAsked);
      if (role) CHECK(*role != "." && *role != "..");
      return CheckWord(role, answer);
    }
    case 'e':
      return CheckRefusal(answer);
    default:
      return CheckKeys(ParseJsonKeys(answer, kAsked, now), answer);
  }
}

}  // namespace weighhouse::source
