#include "cache-daemon/source/oci/tar_place.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/source/oci/tar_text.h"

namespace weighhouse::source::oci {
namespace {

using testing::HasSubstr;

/// Where the first file of `tar` is: "path begin-end", or the error.
std::string Found(const std::string& tar, size_t head = std::string::npos) {
  auto place = FindFirstFile(std::string_view(tar).substr(0, head), tar.size());
  if (!place) return fmt::format("{}: {}", CodeName(place.error().code), place.error().message);
  return fmt::format("{} {}-{}", place->path, place->bytes.begin, place->bytes.end);
}

const std::string kEnd(1024, '\0');

TEST(TarPlaceTest, FindsTheFirstFileBehindDirectories) {
  std::string file = TarEntry("a/b.bin", "hello");
  EXPECT_EQ(Found(file + kEnd), "a/b.bin 512-517");
  EXPECT_EQ(
      Found(TarEntry("./", "", '5') + TarEntry("./a/", "", '5') + TarEntry("./a/b", "x") + kEnd),
      "a/b 1536-1537");
  EXPECT_EQ(Found(TarEntry("old", "x", '\0') + kEnd), "old 512-513");
  EXPECT_EQ(Found(file + kEnd, 512), "a/b.bin 512-517") << "the file itself need not be at hand";
}

TEST(TarPlaceTest, TakesLongNamesAndLargeSizes) {
  std::string name = std::string(150, 'd') + "/" + std::string(200, 'n');
  std::string pax = PaxRecord("mtime", "1.5") + PaxRecord("path", name) + PaxRecord("size", "3");
  EXPECT_EQ(Found(TarEntry("x", pax, 'x') + TarEntry("short", "abc") + kEnd), name + " 1536-1539");
  EXPECT_EQ(Found(TarEntry("././@LongLink", name + std::string(1, '\0'), 'L') +
                  TarEntry("short", "abc") + kEnd),
            name + " 1536-1539");
  std::string prefixed = TarEntry("n", "abc");
  std::memcpy(prefixed.data() + 345, "some/prefix", 11);
  EXPECT_EQ(Found(WithChecksum(prefixed) + kEnd), "some/prefix/n 512-515");
  std::string large = TarEntry("n", "");
  std::memcpy(large.data() + 124, "\x80\0\0\0\0\0\0\x02\0\0\0\0", 12);  // 8 GiB
  auto place = FindFirstFile(WithChecksum(large), 10 * kGiB);
  ASSERT_TRUE(place) << place.error().message;
  EXPECT_EQ(place->bytes.size(), 8 * kGiB);
  // A directory before it had its own extended header.
  EXPECT_EQ(Found(TarEntry("x", PaxRecord("path", "d/"), 'x') + TarEntry("e/", "", '5') +
                  TarEntry("f", "1") + kEnd),
            "f 2048-2049");
}

TEST(TarPlaceTest, RefusesWhatIsNoFile) {
  for (char type : {'1', '2', '3', '4', '6', 'S', 'K', 'Z'}) {
    EXPECT_THAT(Found(TarEntry("x", "", type) + TarEntry("f", "1") + kEnd),
                HasSubstr("INVALID_ARGUMENT"))
        << type;
  }
  EXPECT_THAT(
      Found(TarEntry("x", PaxRecord("GNU.sparse.major", "1"), 'x') + TarEntry("f", "1") + kEnd),
      HasSubstr("sparse"));
  EXPECT_THAT(Found(TarEntry("g", PaxRecord("path", "all"), 'g') + TarEntry("f", "1") + kEnd),
              HasSubstr("INVALID_ARGUMENT"));
  EXPECT_EQ(Found(TarEntry("g", PaxRecord("comment", "c"), 'g') + TarEntry("f", "1") + kEnd),
            "f 1536-1537");
}

TEST(TarPlaceTest, RefusesLies) {
  std::string good = TarEntry("f", "hello") + kEnd;
  std::string other = good;
  other[0] = 'g';
  for (const std::string& lie :
       {std::string(), std::string(512, 'x'), kEnd, other, good.substr(0, 300),
        TarEntry("x", "5 path=long\n", 'x') + good, TarEntry("x", "99999 path=a\n", 'x') + good,
        TarEntry("x", "path", 'x') + good, TarEntry("x", PaxRecord("size", "-1"), 'x') + good,
        TarEntry("x", PaxRecord("size", "99999999"), 'x') + good,
        TarEntry("x", PaxRecord("size", "18446744073709551615"), 'x') + good,
        TarEntry("d/", "", '5') + kEnd}) {
    EXPECT_THAT(Found(lie), HasSubstr("INVALID_ARGUMENT")) << lie.substr(0, 20);
  }
  std::string negative = TarEntry("n", "");
  std::memset(negative.data() + 124, 0xFF, 12);
  EXPECT_THAT(Found(WithChecksum(negative) + kEnd), HasSubstr("INVALID_ARGUMENT"));
  std::string letters = TarEntry("n", "");
  std::memcpy(letters.data() + 124, "0000000000z", 11);
  EXPECT_THAT(Found(WithChecksum(letters) + kEnd), HasSubstr("INVALID_ARGUMENT"));
}

TEST(TarPlaceTest, SaysWhatBeginsTooFarAway) {
  std::string tar = TarEntry("d/", "", '5') + TarEntry("f", "1") + kEnd;
  EXPECT_THAT(Found(tar, 512), HasSubstr("UNIMPLEMENTED"));
  EXPECT_THAT(Found(TarEntry("x", std::string(5000, 'x'), 'x') + tar, 1024),
              HasSubstr("at too great a length"));
}

TEST(TarPlaceTest, NoPieceOfItsInputIsReadBeyondItsEnd) {
  std::string tar = TarEntry("x", PaxRecord("path", "p"), 'x') + TarEntry("d/", "", '5') +
                    TarEntry("f", "content") + kEnd;
  for (size_t size = 0; size <= tar.size(); ++size) {
    std::string cut(tar.data(), size);  // of its own, so that a sanitizer sees its end
    static_cast<void>(FindFirstFile(cut, cut.size()));
    static_cast<void>(FindFirstFile(cut, tar.size()));
  }
}

}  // namespace
}  // namespace weighhouse::source::oci
