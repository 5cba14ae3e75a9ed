#include "cache-daemon/fill/layers/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/fill/layers/packed_text.h"

namespace weighhouse::fill {
namespace {

using source::oci::PaxRecord;
using source::oci::WithChecksum;

std::string Entry(const std::string& name, const std::string& content, char type = '0') {
  return source::oci::TarEntry(name, content, type);
}

/// "name=content" of each entry, with its type before it, or the error.
std::string ReadAll(const std::string& tar, size_t piece = 7, size_t most = 1000) {
  TarReader reader(Pieces(tar, piece), most);
  std::string all;
  while (true) {
    auto entry = reader.Next();
    if (!entry) return entry.error().message;
    if (!*entry) return all;
    std::string content;
    while (true) {
      auto some = reader.Content();
      if (!some) return some.error().message;
      if (some->empty()) break;
      content.append(reinterpret_cast<const char*>(some->data()), some->size());
    }
    EXPECT_EQ(content.size(), (*entry)->size);
    all += std::string("fdhso").substr(static_cast<size_t>((*entry)->type), 1) + (*entry)->path +
           "=" + content + ";";
  }
}

TEST(TarReaderTest, GivesEntriesAndTheirContents) {
  std::string tar = Entry("d/", "", '5') + Entry("d/a", "one") + Entry("b", std::string(600, 'b')) +
                    Entry("l", "", '2') + Entry("h", "", '1') + Entry("c", "", '3') +
                    Entry("e", "") + kTarEnd;
  std::string all = "dd/=;fd/a=one;fb=" + std::string(600, 'b') + ";sl=;hh=;oc=;fe=;";
  for (size_t piece : {1UL, 7UL, 512UL, 4096UL}) EXPECT_EQ(ReadAll(tar, piece), all);
  // What is not read is passed over, and the end may be missing.
  EXPECT_EQ(ReadAll(Entry("a", "1")), "fa=1;");
  TarReader reader(Pieces(tar, 100), 1000);
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(reader.Next().value());
  EXPECT_FALSE(reader.Next().value());
}

TEST(TarReaderTest, TakesExtendedNamesAndSizes) {
  std::string large(700, 'x');
  std::string tar = Entry("x", PaxRecord("path", "long/name") + PaxRecord("mtime", "1.5"), 'x') +
                    Entry("short", "1") + Entry("next", "2") +
                    Entry("././@LongLink", std::string("gnu/name\0", 9), 'L') + Entry("cut", "3") +
                    Entry("g", PaxRecord("comment", "c"), 'g') + Entry("last", large) + kTarEnd;
  EXPECT_EQ(ReadAll(tar), "flong/name=1;fnext=2;fgnu/name=3;flast=" + large + ";");
}

TEST(TarReaderTest, RefusesWhatIsBroken) {
  std::string good = Entry("a", "12345");
  EXPECT_THAT(ReadAll(good.substr(0, 514)), testing::HasSubstr("cut off"));
  EXPECT_THAT(ReadAll(good.substr(0, 100)), testing::HasSubstr("cut off"));
  std::string bad = good;
  bad[0] = 'b';
  EXPECT_THAT(ReadAll(bad), testing::HasSubstr("checksum"));
  EXPECT_THAT(ReadAll(std::string(5000, 'n')), testing::HasSubstr("no tar"));
  EXPECT_THAT(ReadAll(Entry("s", "", 'S')), testing::HasSubstr("sparse"));
  EXPECT_THAT(ReadAll(Entry("x", PaxRecord("GNU.sparse.major", "1"), 'x') + good),
              testing::HasSubstr("sparse"));
  EXPECT_THAT(ReadAll(Entry("g", PaxRecord("path", "all"), 'g') + good),
              testing::HasSubstr("alike"));
  EXPECT_THAT(ReadAll(Entry("x", "12 path=", 'x') + good), testing::HasSubstr("broken"));
  EXPECT_THAT(ReadAll(Entry("x", std::string(2 * kMiB, 'x'), 'x') + good),
              testing::HasSubstr("describes"));
  EXPECT_THAT(ReadAll(good + good + good, 7, 2), testing::HasSubstr("over 2 entries"));
}

TEST(TarReaderTest, ALinksSizeIsNoContent) {
  std::string link = Entry("l", "", '1');
  link.replace(124, 11, "00000000777");
  EXPECT_EQ(ReadAll(WithChecksum(link.substr(0, 512)) + Entry("a", "1") + kTarEnd), "hl=;fa=1;");
}

}  // namespace
}  // namespace weighhouse::fill
