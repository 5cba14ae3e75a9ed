#include "base/digest.h"

#include <array>
#include <compare>
#include <string>
#include <unordered_set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using testing::HasSubstr;

// NIST's examples for FIPS 180-4 (csrc.nist.gov, "Cryptographic Standards and Guidelines: Example
// Values").
constexpr std::string_view kTwoBlocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

struct Vector {
  std::string text;
  std::string sha256;
  std::string sha1;
};

const Vector kVectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
     "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
     "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {std::string(kTwoBlocks), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
     "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
     "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
};

TEST(DigestTest, AgreesWithFips180) {
  for (const Vector& vector : kVectors) EXPECT_EQ(Digest::Of(vector.text).Hex(), vector.sha256);
}

TEST(HasherTest, AgreesWithFips180) {
  for (const Vector& vector : kVectors) {
    Hasher sha256(Hasher::Algorithm::kSha256);
    sha256.Update(vector.text);
    EXPECT_EQ(sha256.FinishHex(), vector.sha256);
    Hasher sha1(Hasher::Algorithm::kSha1);
    sha1.Update(vector.text);
    EXPECT_EQ(sha1.FinishHex(), vector.sha1);
  }
}

TEST(HasherTest, DoesNotCareHowTheStreamIsCut) {
  const std::string text(100000, 'x');
  for (size_t piece : {size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{99999}}) {
    Hasher hasher(Hasher::Algorithm::kSha256);
    for (size_t at = 0; at < text.size(); at += piece) {
      hasher.Update(std::as_bytes(std::span(std::string_view(text).substr(at, piece))));
    }
    EXPECT_EQ(hasher.FinishHex(), Digest::Of(text).Hex()) << piece;
  }
}

TEST(HasherTest, HashesEveryLengthWhole) {
  // Around the pieces that it asks memory for.
  std::string text;
  for (int i = 0; i < 4200; ++i) text += static_cast<char>(i * 31 % 251);
  for (size_t length = 0; length <= text.size(); ++length) {
    Hasher hasher(Hasher::Algorithm::kSha256);
    hasher.Update(std::string_view(text).substr(0, length));
    ASSERT_EQ(hasher.FinishHex(), Digest::Of(std::string_view(text).substr(0, length)).Hex());
  }
}

TEST(HasherTest, KeepsItsStateWhenMoved) {
  Hasher first(Hasher::Algorithm::kSha256);
  first.Update("a");
  Hasher second = std::move(first);
  second.Update("bc");
  EXPECT_EQ(second.FinishHex(), Digest::Of("abc").Hex());
}

TEST(DigestTest, ReadsWhatItWrites) {
  Result<Digest> digest = Digest::FromHex(Digest::Of("abc").Hex());
  ASSERT_TRUE(digest.has_value());
  EXPECT_EQ(*digest, Digest::Of("abc"));
  EXPECT_NE(*digest, Digest());
  EXPECT_EQ(Digest().Hex(), std::string(64, '0'));
}

TEST(DigestTest, RefusesAllButSixtyFourLowerCaseDigits) {
  const std::string good = Digest::Of("abc").Hex();
  for (std::string bad : {std::string(), good.substr(1), good + "0", "G" + good.substr(1),
                          "B" + good.substr(1), " " + good.substr(1), "0x" + good.substr(2)}) {
    Result<Digest> digest = Digest::FromHex(bad);
    ASSERT_FALSE(digest.has_value()) << bad;
    EXPECT_EQ(digest.error().code, Code::kInvalidArgument);
    EXPECT_THAT(digest.error().message, HasSubstr("'" + bad + "'"));
    EXPECT_THAT(digest.error().message, HasSubstr("64 lower-case hexadecimal digits"));
  }
}

TEST(DigestTest, ShowsBadBytesAsPrintable) {
  EXPECT_THAT(Digest::FromHex("\xff\x1b[2J").error().message, HasSubstr("'??[2J'"));
}

TEST(DigestTest, IsOrderedAsItsBytesAre) {
  // Each pair differs in one byte only: the first ones, those behind the first eight, and the last.
  for (size_t place = 0; place < Digest::kSize; ++place) {
    std::array<uint8_t, Digest::kSize> low{}, high{};
    low.fill(0x7F);
    high.fill(0x7F);
    low[place] = 0x01;
    high[place] = 0x80;
    // What comes later must not count: read from the other end, `low` would be the larger.
    for (size_t later = place + 1; later < Digest::kSize; ++later) low[later] = 0xFF;
    EXPECT_LT(Digest(low), Digest(high)) << place;
    EXPECT_GT(Digest(high), Digest(low)) << place;
    EXPECT_LT(Digest(low).Hex(), Digest(high).Hex()) << place;
  }
  EXPECT_TRUE(std::is_eq(Digest::Of("a") <=> Digest::Of("a")));
}

TEST(DigestTest, OrdersAndHashesAsAKey) {
  EXPECT_LT(Digest(), Digest::Of(""));
  std::unordered_set<Digest> set = {Digest::Of("a"), Digest::Of("b"), Digest::Of("a")};
  EXPECT_EQ(set.size(), 2U);
}

TEST(HexTest, EncodesEveryByte) {
  const uint8_t bytes[] = {0x00, 0x0f, 0xf0, 0xff, 0x9a};
  EXPECT_EQ(HexEncode(bytes), "000ff0ff9a");
  EXPECT_EQ(HexEncode({}), "");
}

TEST(HexTest, KnowsLengthAndCase) {
  EXPECT_TRUE(IsHex("", 0));
  EXPECT_TRUE(IsHex("09af", 4));
  EXPECT_FALSE(IsHex("09af", 3));
  EXPECT_FALSE(IsHex("09AF", 4));
  EXPECT_FALSE(IsHex("09ag", 4));
}

}  // namespace
}  // namespace weighhouse
