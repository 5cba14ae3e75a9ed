#include "cache-daemon/fill/layers/layer_reading.h"

#include <gmock/gmock.h>

#include "cache-daemon/io/io_engine.h"
#include "test/cache-daemon/fill/layers/packed_text.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::fill {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string FileEntry(const std::string& name, const std::string& content) {
  return source::oci::TarEntry(name, content);
}

class LayerReadingTest : public store::StoreTest {
 protected:
  LayerReadingTest() {
    options_.limit = 40 * kMiB;
    options_.min_free = 0;
    Open();
    io_ = io::SelectIoEngine(io::IoEngineChoice::kPwrite).value();
    writer_ = StagedWriter::Create(*io_.engine).value();
  }
  static PackedLayer LayerOf(const std::string& blob, const std::string& prefix = "models/") {
    return {.digest = Digest::Of(blob).Hex(), .size = blob.size(), .diff_id = {}, .prefix = prefix};
  }
  Result<ReadLayer> Read(const PackedLayer& layer, const std::string& blob,
                         std::optional<std::set<std::string>> wanted = std::nullopt) {
    LayerRoom room(*store_, std::string(64, 'f'));
    TRY(room.Begin(layer.size));
    LayerReading reading({.store = *store_, .writer = *writer_, .room = room},
                         {.origin = "oci+https://r/m", .anonymous = true}, layer,
                         std::move(wanted));
    return reading.Run(Pieces(blob, 50'000));
  }
  Error Refusal(const PackedLayer& layer, const std::string& blob) {
    Result<ReadLayer> read = Read(layer, blob);
    EXPECT_FALSE(read);
    Error error = read ? Error() : read.error();
    EXPECT_THAT(store::NamesBelow(Root() / "ingests"), IsEmpty()) << error.message;
    auto space = store_->Space();
    EXPECT_TRUE(space && space->used == 0 && space->reserved == 0) << error.message;
    return error;
  }

  const std::string weights_ = PatternBytes(5 * kMiB + 17, 6);
  const std::string tar_ = FileEntry("etc/hosts", "localhost") + FileEntry("models/a.json", "{}") +
                           FileEntry("models/w.bin", weights_) + FileEntry("models/empty", "") +
                           FileEntry("models/.wh.old", "") + kTarEnd;
  io::IoEngineSelection io_;
  std::unique_ptr<StagedWriter> writer_;
};

TEST_F(LayerReadingTest, StagesTheModelsFilesAndNothingElse) {
  for (int filter : {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD}) {
    std::string blob = filter == ARCHIVE_FILTER_NONE ? tar_ : Compressed(tar_, filter);
    PackedLayer layer = LayerOf(blob);
    layer.diff_id = Digest::Of(tar_).Hex();
    Result<ReadLayer> read = Read(layer, blob);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->record.digest, layer.digest);
    EXPECT_EQ(read->record.diff_id, layer.diff_id);
    EXPECT_EQ(read->record.entries.size(), 4U);
    ASSERT_EQ(read->staged.size(), 3U);
    for (const auto& [path, content] :
         std::map<std::string, std::string>{{"a.json", "{}"}, {"w.bin", weights_}, {"empty", ""}}) {
      const StagedEntry& staged = read->staged.at(path);
      EXPECT_EQ(staged.size, content.size());
      EXPECT_EQ(staged.sha256, Digest::Of(content));
      EXPECT_EQ(ReadTestFile(staged.ingest->path()), content);
    }
    read->staged.clear();
    EXPECT_THAT(store::NamesBelow(Root() / "ingests"), IsEmpty());
  }
}

TEST_F(LayerReadingTest, StagesOnlyWhatIsWanted) {
  Result<ReadLayer> read = Read(LayerOf(tar_), tar_, std::set<std::string>{"a.json"});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->record.entries.size(), 4U);
  ASSERT_EQ(read->staged.size(), 1U);
  EXPECT_TRUE(read->staged.contains("a.json"));
}

TEST_F(LayerReadingTest, TheLastOfANameCounts) {
  std::string tar = FileEntry("models/a", "first") + FileEntry("models/a", "again") + kTarEnd;
  Result<ReadLayer> read = Read(LayerOf(tar), tar);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->staged.size(), 1U);
  EXPECT_EQ(read->staged.at("a").sha256, Digest::Of("again"));
}

TEST_F(LayerReadingTest, RefusesLiesAndLeavesNothing) {
  std::string packed = Compressed(tar_, ARCHIVE_FILTER_GZIP);
  PackedLayer layer = LayerOf(packed);
  std::string changed = packed;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  EXPECT_FALSE(Refusal(layer, changed).message.empty());
  Error longer = Refusal(layer, packed + "more");
  EXPECT_EQ(longer.code, Code::kDataLoss);
  EXPECT_THAT(longer.message, HasSubstr("want sha256:" + layer.digest));
  Error another =
      Refusal(layer, Compressed(FileEntry("models/a", "x") + kTarEnd, ARCHIVE_FILTER_GZIP));
  EXPECT_EQ(another.code, Code::kDataLoss);
  layer.diff_id = Digest::Of("another").Hex();
  Error unpacked = Refusal(layer, packed);
  EXPECT_EQ(unpacked.code, Code::kDataLoss);
  EXPECT_THAT(unpacked.message, HasSubstr("unpacks to sha256:" + Digest::Of(tar_).Hex()));
}

TEST_F(LayerReadingTest, RefusesBombs) {
  // Files that together are larger than a layer of that size may be; and one that says it is.
  std::string many;
  for (int i = 0; i < 40; ++i) {
    many += FileEntry("other/" + std::to_string(i), std::string(2 * kMiB, '\0'));
  }
  std::string bomb = Compressed(many + kTarEnd, ARCHIVE_FILTER_ZSTD);
  ASSERT_LT(bomb.size() * 256 + 64 * kMiB, many.size());
  EXPECT_THAT(Refusal(LayerOf(bomb), bomb).message, HasSubstr("more than one of its size may"));
  std::string one = FileEntry("models/w.bin", "");
  one.replace(124, 11, "77777777777");
  one = source::oci::WithChecksum(one.substr(0, 512)) + std::string(10'000, 'x');
  EXPECT_THAT(Refusal(LayerOf(one), one).message, HasSubstr("in a layer of"));
}

TEST_F(LayerReadingTest, RefusesNamesThatLeaveTheTree) {
  for (const char* name : {"models/../x", "../x", "/models/x"}) {
    std::string tar = FileEntry("models/a", "1") + FileEntry(name, "2") + kTarEnd;
    EXPECT_EQ(Refusal(LayerOf(tar), tar).code, Code::kInvalidArgument) << name;
  }
}

TEST_F(LayerReadingTest, AsksForRoomBeforeItWrites) {
  std::string tar = FileEntry("models/a", std::string(30 * kMiB, 'a')) +
                    FileEntry("models/b", std::string(12 * kMiB, 'b')) + kTarEnd;
  std::string packed = Compressed(tar, ARCHIVE_FILTER_ZSTD);
  Error error = Refusal(LayerOf(packed), packed);
  EXPECT_TRUE(error.code == Code::kResourceExhausted || error.code == Code::kOutOfRange)
      << error.message;
}

}  // namespace
}  // namespace weighhouse::fill
