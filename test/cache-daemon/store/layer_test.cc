#include <cerrno>

#include "cache-daemon/store/layer_record.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

using Kind = LayerEntry::Kind;

LayerRecord Record(const std::string& layer) {
  return {.digest = Digest::Of(layer).Hex(),
          .diff_id = Digest::Of("unpacked " + layer).Hex(),
          .prefix = "models/",
          .entries = {{.path = "config.json", .size = 2},
                      {.kind = Kind::kWhiteout, .path = "old/weights \xC3\xA4"},
                      {.kind = Kind::kOpaque, .path = ""}}};
}
PackedLayer Listed(const LayerRecord& record) {
  return {.digest = record.digest, .size = 7, .diff_id = {}, .prefix = record.prefix};
}

const LayerOrigin kPublic{.origin = "oci+https://a", .anonymous = true};
const LayerOrigin kOtherPublic{.origin = "oci+https://b", .anonymous = true};
const LayerOrigin kPrivate{.origin = "oci+https://private", .anonymous = false};
const LayerOrigin kThief{.origin = "oci+https://thief", .anonymous = false};

class LayerTest : public StoreTest {
 protected:
  LayerTest() { Open(); }
  std::filesystem::path FileOf(const LayerOrigin& origin, const LayerRecord& record) const {
    return Names().Layer(LayerRecordId(origin, record.digest, record.prefix));
  }
};

TEST_F(LayerTest, IsFoundAfterARestart) {
  ASSERT_TRUE(store_->RecordLayer(kPublic, Record("one")));
  Reopen();
  EXPECT_EQ(store_->FindLayer(kPublic, Listed(Record("one"))), Record("one"));
  EXPECT_EQ(store_->FindLayer(kPublic, Listed(Record("two"))), std::nullopt);
}

TEST_F(LayerTest, OfAPublicOriginIsForAllAndOfAPrivateOneForItself) {
  ASSERT_TRUE(store_->RecordLayer(kPublic, Record("public")));
  ASSERT_TRUE(store_->RecordLayer(kPrivate, Record("private")));
  for (const LayerOrigin& origin : {kPublic, kOtherPublic, kPrivate, kThief}) {
    EXPECT_TRUE(store_->FindLayer(origin, Listed(Record("public"))));
  }
  EXPECT_TRUE(store_->FindLayer(kPrivate, Listed(Record("private"))));
  for (const LayerOrigin& origin : {kPublic, kThief}) {
    EXPECT_FALSE(store_->FindLayer(origin, Listed(Record("private"))));
  }
}

TEST_F(LayerTest, IsNoneForAnotherDiffIdOrPrefix) {
  ASSERT_TRUE(store_->RecordLayer(kPublic, Record("one")));
  PackedLayer layer = Listed(Record("one"));
  layer.diff_id = Record("one").diff_id;
  EXPECT_TRUE(store_->FindLayer(kPublic, layer));
  layer.diff_id = Record("two").diff_id;
  EXPECT_FALSE(store_->FindLayer(kPublic, layer));
  layer = Listed(Record("one"));
  layer.prefix = "";
  EXPECT_FALSE(store_->FindLayer(kPublic, layer));
}

TEST_F(LayerTest, ThatIsTornOrChangedIsNone) {
  const LayerRecord record = Record("one");
  ASSERT_TRUE(store_->RecordLayer(kPublic, record));
  const std::string whole = ReadTestFile(FileOf(kPublic, record));
  ASSERT_TRUE(ParseLayerRecord(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseLayerRecord(whole.substr(0, size))) << size;
  }
  std::string zeros = whole;
  std::fill(zeros.begin() + 20, zeros.end(), '\0');
  WriteTestFile(FileOf(kPublic, record), zeros);
  EXPECT_FALSE(store_->FindLayer(kPublic, Listed(record)));
  // Another's record in its place.
  WriteTestFile(FileOf(kPublic, record), LayerRecordToText(Record("two")));
  EXPECT_FALSE(store_->FindLayer(kPublic, Listed(record)));
  ASSERT_TRUE(store_->RecordLayer(kPublic, record));
  EXPECT_TRUE(store_->FindLayer(kPublic, Listed(record)));
}

TEST_F(LayerTest, NamesThatNoTreeMayHaveAreDamage) {
  for (const char* path : {"../x", "/x", "a//b", "", "a/.."}) {
    LayerRecord record = Record("one");
    record.entries = {{.path = path, .size = 1}};
    EXPECT_FALSE(ParseLayerRecord(LayerRecordToText(record))) << path;
  }
}

TEST_F(LayerTest, HalfWrittenNamesGoAtAStart) {
  ASSERT_TRUE(store_->RecordLayer(kPublic, Record("one")));
  WriteTestFile(Root() / "layers/.left.json.new", "{");
  Reopen();
  EXPECT_EQ(NamesBelow(Root() / "layers").size(), 1U);
}

TEST_F(LayerTest, AFailedWriteRecordsNothing) {
  filesystem_.FailAt({.operation = "SyncFile", .path = "layers/", .error_number = ENOSPC});
  EXPECT_FALSE(store_->RecordLayer(kPublic, Record("one")));
  EXPECT_FALSE(store_->FindLayer(kPublic, Listed(Record("one"))));
}

TEST_F(LayerTest, SealedIngestsWaitForTheirCommit) {
  const TestFiles files = {{"w.bin", PatternBytes(10'000, 9)}};
  Listing listing = ListingOf(files);
  const std::string& content = files.at("w.bin");
  auto ingest = store_->StartIngest(IngestIdOf(content), Sha256Of(content), content.size());
  ASSERT_TRUE(ingest);
  ASSERT_TRUE(WriteStaged(**ingest, content, {.begin = 0, .end = content.size()}));
  ASSERT_TRUE((*ingest)->Seal());
  ASSERT_TRUE((*ingest)->Seal());
  EXPECT_EQ((*ingest)->fd(), -1);
  auto snapshot = store_->BeginSnapshot(listing);
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(
      (*ingest)->Commit(snapshot->id, Sha256Of(content), content.size(), Digest::Of(content)));
  EXPECT_TRUE(store_->CompleteSnapshot(snapshot->id));
  EXPECT_TRUE(BlobExists(content));
}

}  // namespace
}  // namespace weighhouse::store
