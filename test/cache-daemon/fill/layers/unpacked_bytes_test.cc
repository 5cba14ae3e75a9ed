#include "cache-daemon/fill/unpacked_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "test/cache-daemon/fill/layers/packed_text.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::fill {
namespace {

/// All that it unpacks to, or the error.
std::string Unpack(const std::string& packed, Bytes most = 100 * kMiB, size_t piece = 1000) {
  UnpackedBytes unpacked(Pieces(packed, piece), most);
  std::string all;
  while (true) {
    auto some = unpacked.Next();
    if (!some) return some.error().message;
    if (some->empty()) break;
    all.append(reinterpret_cast<const char*>(some->data()), some->size());
  }
  auto digest = unpacked.Finish();
  if (!digest) return digest.error().message;
  EXPECT_EQ(*digest, Digest::Of(all).Hex());
  return all;
}

class UnpackedBytesTest : public testing::TestWithParam<int> {};
class CompressedBytesTest : public testing::TestWithParam<int> {};

TEST_P(UnpackedBytesTest, GivesWhatWasPacked) {
  std::string text = PatternBytes(300'000, 3) + std::string(500'000, 'z');
  std::string packed = GetParam() == ARCHIVE_FILTER_NONE ? text : Compressed(text, GetParam());
  if (GetParam() != ARCHIVE_FILTER_NONE) {
    EXPECT_LT(packed.size(), text.size());
  }
  for (size_t piece : {4UL, 1000UL, 1'000'000UL}) EXPECT_EQ(Unpack(packed, kMiB, piece), text);
  EXPECT_EQ(Unpack(packed, text.size()), text);
  EXPECT_THAT(Unpack(packed, text.size() - 1), testing::HasSubstr("refused"));
}

TEST_P(CompressedBytesTest, NoticesWhatIsCutOff) {
  std::string packed = Compressed(PatternBytes(100'000, 4), GetParam());
  for (size_t size : {packed.size() - 1, packed.size() - 100, packed.size() / 2, size_t{20}}) {
    EXPECT_THAT(Unpack(packed.substr(0, size)), testing::HasSubstr("can't be unpacked")) << size;
  }
}

TEST_P(CompressedBytesTest, UnpacksOnceOnly) {
  std::string once = Compressed("twice packed", GetParam());
  EXPECT_EQ(Unpack(Compressed(once, GetParam())), once);
}

TEST_P(UnpackedBytesTest, FailsAsItsSourceDoes) {
  std::string text = PatternBytes(300'000, 5);
  std::string packed = GetParam() == ARCHIVE_FILTER_NONE ? text : Compressed(text, GetParam());
  ByteSource good = Pieces(packed, 100'000);
  int calls = 0;
  UnpackedBytes unpacked(
      [&]() -> Result<std::span<const std::byte>> {
        if (++calls > 2) return Fail(Code::kUnauthenticated, "no more for you");
        return good();
      },
      kMiB);
  Result<std::string> digest = unpacked.Finish();
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().code, Code::kUnauthenticated);
  EXPECT_EQ(digest.error().message, "no more for you");
}

INSTANTIATE_TEST_SUITE_P(Filters, CompressedBytesTest,
                         testing::Values(ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD));
INSTANTIATE_TEST_SUITE_P(Filters, UnpackedBytesTest,
                         testing::Values(ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP,
                                         ARCHIVE_FILTER_ZSTD));

// RFC 1952 section 2.2, RFC 8878 section 3.
TEST_P(CompressedBytesTest, TakesMembersAndFramesAsOneStream) {
  std::string two = Compressed("one ", GetParam()) + Compressed("two", GetParam());
  for (size_t piece : {4UL, 1000UL}) EXPECT_EQ(Unpack(two, kMiB, piece), "one two");
}

TEST(UnpackedBytesOfNothingTest, AreNone) { EXPECT_EQ(Unpack(""), ""); }

/// A frame with a window of 2^(10 + `exponent`) bytes: RFC 8878 sections 3.1.1.1 and 3.1.1.2.
std::string ZstdFrame(int exponent, const std::string& text) {
  std::string frame("\x28\xb5\x2f\xfd\0", 5);
  frame += static_cast<char>(exponent << 3);
  frame += static_cast<char>((text.size() << 3) | 1);  // the last block, as it is
  return frame + std::string(2, '\0') + text;
}

TEST(ZstdWindowTest, IsBounded) {
  std::string skipped("\x50\x2a\x4d\x18\x01\0\0\0x", 9);
  EXPECT_EQ(Unpack(skipped + ZstdFrame(13, "eight MiB")), "eight MiB");
  for (const std::string& before : {std::string(), ZstdFrame(0, "small"), skipped}) {
    EXPECT_THAT(Unpack(before + ZstdFrame(14, "sixteen")), testing::HasSubstr("over 8.0 MiB"));
    EXPECT_THAT(Unpack(before + ZstdFrame(31, "")), testing::HasSubstr("over 8.0 MiB"));
  }
  EXPECT_THAT(Unpack(ZstdFrame(0, "small") + "and no frame"),
              testing::HasSubstr("can't be unpacked"));
}

}  // namespace
}  // namespace weighhouse::fill
