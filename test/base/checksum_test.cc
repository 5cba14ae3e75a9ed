#include "base/checksum.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weighhouse {
namespace {

using Kind = ContentChecksum::Kind;

std::string CrcOf(Kind kind, std::string_view text, size_t piece) {
  CrcStream stream(kind);
  for (size_t begin = 0; begin < text.size(); begin += piece) {
    stream.Update(std::as_bytes(std::span(text.substr(begin, piece))));
  }
  return stream.Hex();
}

/// Bit by bit, as the definitions say.
template <class Word>
Word SlowCrc(Word reflected_polynomial, std::string_view text) {
  Word crc = ~Word{0};
  for (char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? reflected_polynomial : Word{0});
    }
  }
  return ~crc;
}

TEST(ChecksumTest, HasTheCatalogueChecks) {
  EXPECT_EQ(CrcOf(Kind::kCrc32c, "123456789", 9), "e3069283");
  EXPECT_EQ(CrcOf(Kind::kCrc64Nvme, "123456789", 9), "ae8b14860a799888");
  EXPECT_EQ(CrcOf(Kind::kCrc32c, "", 1), "00000000");
  EXPECT_EQ(CrcOf(Kind::kCrc64Nvme, "", 1), "0000000000000000");
}

TEST(ChecksumTest, IsTheSameWhateverThePieces) {
  std::string text;
  for (int i = 0; i < 4099; ++i) text += static_cast<char>(i * 31 + i / 7);
  std::string crc32c = fmt::format("{:08x}", SlowCrc<uint32_t>(0x82F63B78, text));
  std::string crc64 = fmt::format("{:016x}", SlowCrc<uint64_t>(0x9A6C9329AC4BC9B5, text));
  for (size_t piece : {1, 3, 8, 13, 70, 500, 4096, 5000}) {
    EXPECT_EQ(CrcOf(Kind::kCrc32c, text, piece), crc32c) << piece;
    EXPECT_EQ(CrcOf(Kind::kCrc64Nvme, text, piece), crc64) << piece;
  }
}

TEST(ChecksumTest, IsRightForEveryLength) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(CrcOf(Kind::kCrc32c, text, 1000),
              fmt::format("{:08x}", SlowCrc<uint32_t>(0x82F63B78, text)))
        << i;
    EXPECT_EQ(CrcOf(Kind::kCrc64Nvme, text, 1000),
              fmt::format("{:016x}", SlowCrc<uint64_t>(0x9A6C9329AC4BC9B5, text)))
        << i;
    text += static_cast<char>(i * 37 + 11);
  }
}

TEST(ChecksumTest, ReadsBase64OfTheRightLengthOnly) {
  auto crc32c = ContentChecksum::FromBase64(Kind::kCrc32c, "4waSgw==");
  ASSERT_TRUE(crc32c);
  EXPECT_EQ(crc32c->value, "e3069283");
  EXPECT_EQ(ContentChecksum::FromBase64(Kind::kCrc64Nvme, "rosUhgp5mIg=")->value,
            "ae8b14860a799888");
  for (const char* bad : {"", "4waSgw", "4waSgw=", "rosUhgp5mIg=", "4wa gw==", "4waSgw==-3",
                          "====", "4waS=w==", "4waS\ngw="}) {
    EXPECT_FALSE(ContentChecksum::FromBase64(Kind::kCrc32c, bad)) << bad;
  }
}

TEST(Base64Test, AgreesWithTheVectorsOfItsSpecification) {
  const std::pair<const char*, const char*> kVectors[] = {{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foob", "Zm9vYg=="},
                                                          {"fooba", "Zm9vYmE="},
                                                          {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : kVectors) {
    EXPECT_EQ(EncodeBase64(plain), encoded);
    EXPECT_EQ(DecodeBase64(encoded), plain);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(DecodeBase64(EncodeBase64(all)), all);
  EXPECT_EQ(DecodeBase64("Zg"), "f");
  for (const char* bad : {"Z", "Zg=a", "Zm9vY", "Zm 9", "Zm-_"})
    EXPECT_FALSE(DecodeBase64(bad)) << bad;
}

TEST(ChecksumTest, EncodesBase64ForUrls) {
  EXPECT_EQ(EncodeBase64Url(""), "");
  EXPECT_EQ(EncodeBase64Url("\xFB\xFF\xFE"), "-__-");
  EXPECT_EQ(EncodeBase64Url("a"), "YQ");
}

}  // namespace
}  // namespace weighhouse
