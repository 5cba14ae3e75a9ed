#include "cache-daemon/source/gcs/service_account.h"

#include <cstdint>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/checksum.h"

namespace weighhouse::source {
namespace {

using testing::HasSubstr;
using testing::Not;

/// An ASN.1 element in DER (X.690 section 8.1), of less than 64 KiB.
std::string Der(char tag, const std::string& content) {
  auto size = static_cast<uint16_t>(content.size());
  return std::string{tag, '\x82', static_cast<char>(size >> 8), static_cast<char>(size)} + content;
}

/// An odd number of so many bits.
std::string OddNumber(size_t bits) {
  return Der(2, '\0' + std::string(bits / 8, static_cast<char>(0xA5)));
}

std::string Pem(const std::string& label, const std::string& der) {
  std::string text = EncodeBase64(der), lines;
  for (size_t at = 0; at < text.size(); at += 64) lines += text.substr(at, 64) + "\n";
  return fmt::format("-----BEGIN {0}-----\n{1}-----END {0}-----\n", label, lines);
}

/// An RSAPrivateKey (RFC 8017 appendix A.1.2) whose numbers nothing was made from.
std::string RsaPem(size_t modulus_bits, size_t exponent_bits, size_t factor_bits,
                   size_t third_prime_bits = 0) {
  std::string version(1, third_prime_bits > 0 ? '\1' : '\0');
  std::string numbers =
      Der(2, version) + OddNumber(modulus_bits) + OddNumber(16) + OddNumber(exponent_bits);
  for (int i = 0; i < 5; ++i) numbers += OddNumber(factor_bits);
  if (third_prime_bits > 0) {
    std::string prime = OddNumber(third_prime_bits);
    numbers += Der(0x30, Der(0x30, prime + prime + prime));
  }
  return Pem("RSA PRIVATE KEY", Der(0x30, numbers));
}

/// A DSA key (RFC 3279 section 2.3.2) whose public number a reader has to calculate.
std::string DsaPem(size_t bits) {
  std::string algorithm = Der(6, "\x2A\x86\x48\xCE\x38\x04\x01") +
                          Der(0x30, OddNumber(bits) + OddNumber(bits - 8) + OddNumber(bits - 16));
  return Pem("PRIVATE KEY", Der(0x30, Der(2, std::string(1, '\0')) + Der(0x30, algorithm) +
                                          Der(4, OddNumber(bits - 16))));
}

ServiceAccount AccountWith(const std::string& private_key) {
  nlohmann::json account = {{"type", "service_account"},
                            {"client_email", "a@b.iam.gserviceaccount.com"},
                            {"private_key", private_key}};
  return ServiceAccount::Parse(account.dump()).value();
}

/// What signing by it says, which it does at once: with these keys it would take seconds or
/// minutes.
std::string RefusalOf(const std::string& private_key) {
  auto begun = std::chrono::steady_clock::now();
  auto assertion = AccountWith(private_key).Assertion(std::chrono::system_clock::now());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
  if (assertion) return "";
  EXPECT_EQ(assertion.error().code, Code::kUnauthenticated);
  return assertion.error().message;
}

TEST(ServiceAccountTest, RefusesKeysThatWouldSignForMinutes) {
  EXPECT_THAT(RefusalOf(RsaPem(65'536, 65'536, 32'768)), HasSubstr("over 4096 bits"));
  EXPECT_THAT(RefusalOf(RsaPem(16'384, 16'384, 8'192)), HasSubstr("over 4096 bits"));
  EXPECT_THAT(RefusalOf(RsaPem(2048, 65'536, 1024)), HasSubstr("over 4096 bits"));
  EXPECT_THAT(RefusalOf(RsaPem(2048, 2048, 65'536)), HasSubstr("over 4096 bits"));
  EXPECT_THAT(RefusalOf(RsaPem(1024, 1024, 1024, 65'536)), HasSubstr("two primes"));
  EXPECT_THAT(RefusalOf(RsaPem(1024, 1024, 512, 2048)), HasSubstr("two primes"));
}

TEST(ServiceAccountTest, ReadsNoKeysButRsa) {
  EXPECT_THAT(RefusalOf(DsaPem(5'120)), HasSubstr("no RSA key"));
  EXPECT_THAT(RefusalOf("-----BEGIN PRIVATE KEY-----\nAAAA\n"), HasSubstr("no RSA key"));
}

TEST(ServiceAccountTest, RefusesWhatIsNoKeysFile) {
  auto account = ServiceAccount::Parse("{\"type\":\"" + std::string(70'000, 'a') + "\"}");
  ASSERT_FALSE(account);
  EXPECT_THAT(account.error().message, HasSubstr("64 KiB"));
}

TEST(ServiceAccountTest, SaysWhereItMayBeExchanged) {
  ServiceAccount account{.token_uri = "https://oauth2.example/token"};
  EXPECT_TRUE(account.TokenEndpoint(false));
  account.token_uri = "http://oauth2.example/token";
  EXPECT_FALSE(account.TokenEndpoint(false));
  EXPECT_TRUE(account.TokenEndpoint(true));
  account.token_uri = "https://user:password@oauth2.example/token?key=word";
  auto refused = account.TokenEndpoint(true);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, Not(HasSubstr("word")));
  account.token_uri = "https://" + std::string(5000, 'a') + "/token";
  ASSERT_FALSE(account.TokenEndpoint(true));
  EXPECT_LT(account.TokenEndpoint(true).error().message.size(), 400U);
}

}  // namespace
}  // namespace weighhouse::source
