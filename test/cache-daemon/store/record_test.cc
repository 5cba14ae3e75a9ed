#include "cache-daemon/store/blob_index.h"
#include "cache-daemon/store/snapshot_record.h"
#include "cache-daemon/store/tree_book.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

const TestFiles kRecordFiles = {{"a", "1"}, {"dir/b", "22"}};

SnapshotRecord Record() {
  Listing listing = ListingOf(kRecordFiles);
  listing.files.push_back(
      {.path = "token \"quoted\" ü", .size = 3, .identity = {.value = "W/\"e tag%20\""}});
  SnapshotRecord record = NewSnapshotRecord(listing);
  record.snapshot.files[0].blob = Digest::Of("1");
  record.borrowed[0] = true;
  record.trees = {{.path = "trees/hub/x",
                   .layout = Layout::kHub,
                   .requested_revision = "main",
                   .withdrawn = true,
                   .copied = 4096}};
  return record;
}

TEST(SnapshotRecordTest, ReadsWhatItWrote) {
  SnapshotRecord record = Record();
  auto read = ParseSnapshotRecord(SnapshotToJson(record), record.snapshot.id);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(SnapshotToJson(*read), SnapshotToJson(record));
  EXPECT_EQ(read->borrowed, record.borrowed);
  EXPECT_EQ(read->trees, record.trees);
  EXPECT_EQ(read->snapshot.files[2].listed, record.snapshot.files[2].listed);
}

TEST(SnapshotRecordTest, ToleratesNoDamage) {
  SnapshotRecord record = Record();
  std::string json = SnapshotToJson(record);
  const std::string& id = record.snapshot.id;
  for (size_t cut = 0; cut + 2 < json.size(); cut += 11) {
    EXPECT_FALSE(ParseSnapshotRecord(json.substr(0, cut), id).has_value()) << cut;
  }
  EXPECT_FALSE(ParseSnapshotRecord(json, std::string(64, '0')).has_value());
  EXPECT_FALSE(ParseSnapshotRecord("[]", id).has_value());
  auto replaced = [&](const std::string& from, const std::string& to) {
    std::string changed = json;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  EXPECT_FALSE(ParseSnapshotRecord(replaced("dir/b", "../b"), id).has_value());
  EXPECT_FALSE(ParseSnapshotRecord(replaced("filling", "complete"), id).has_value());
  EXPECT_FALSE(ParseSnapshotRecord(replaced("trees/hub/x", "../../etc"), id).has_value());
  EXPECT_FALSE(ParseSnapshotRecord(replaced("\"size\": 1", "\"size\": -1"), id).has_value());
  std::string blob = "\"blob\": \"" + Digest::Of("1").Hex();
  EXPECT_FALSE(
      ParseSnapshotRecord(replaced(blob, "\"blob\": \"" + Digest::Of("2").Hex()), id).has_value())
      << "a blob must be what its sha256 identity says";
}

TEST(SnapshotRecordTest, JournalGivesEveryFileOfTheIdentityItsBlob) {
  SnapshotRecord record = Record();
  const ListedFile& token = record.snapshot.files[2].listed;
  std::string journal = JournalLine(token.identity, token.size, Digest::Of("xyz")) +
                        JournalLine(Sha256Of("22"), 2, Digest::Of("22")) + "sha256 torn";
  EXPECT_EQ(ApplyJournal(journal, record), 1u);
  EXPECT_EQ(record.snapshot.files[1].blob, Digest::Of("22"));
  EXPECT_EQ(record.snapshot.files[2].blob, Digest::Of("xyz"));
}

TEST(SnapshotRecordTest, JournalCantGiveAFileAnotherBlobThanItsIdentityNames) {
  SnapshotRecord record = Record();
  ApplyJournal(JournalLine(Sha256Of("22"), 2, Digest::Of("other")), record);
  ApplyJournal(JournalLine(Sha256Of("22"), 3, Digest::Of("22")), record);
  EXPECT_FALSE(record.snapshot.files[1].blob.has_value());
}

TEST(ScrubStateTest, IsReadAsItWasWritten) {
  ScrubState state{.under_way = true,
                   .position = std::string(64, 'a'),
                   .pass_begun = std::chrono::system_clock::time_point(std::chrono::hours(7)),
                   .pass_ended = std::chrono::system_clock::time_point(std::chrono::hours(5)),
                   .day = 20000,
                   .read_today = 1,
                   .charged = 2,
                   .failures = 3};
  EXPECT_EQ(ParseScrubState(ScrubStateToJson(state)).value(), state);
  EXPECT_EQ(ParseScrubState(ScrubStateToJson({})).value(), ScrubState());
}

TEST(ScrubStateTest, WhatIsNotOneIsRefused) {
  for (const char* text : {"", "{}", "[]", R"({"position": 1})"}) {
    EXPECT_EQ(ParseScrubState(text).error().code, Code::kDataLoss) << text;
  }
  std::string json = ScrubStateToJson({.position = std::string(64, 'a')});
  json.replace(json.find("aaaa"), 4, "../x");
  EXPECT_EQ(ParseScrubState(json).error().code, Code::kDataLoss);
}

TEST(SnapshotRecordTest, ListsBlobsByIdentityAndAsVerified) {
  SnapshotRecord record = Record();
  record.snapshot.files[2].blob = Digest::Of("xyz");
  EXPECT_EQ(ListedBlobs(record.snapshot),
            (std::map<Digest, Bytes>{
                {Digest::Of("1"), 1}, {Digest::Of("22"), 2}, {Digest::Of("xyz"), 3}}));
}

TEST(BlobIndexTest, OnlyWhatNobodyListsOrPinsMayGo) {
  BlobIndex blobs;
  Digest sha256 = Digest::Of("x");
  blobs.Pin(sha256, 5000);
  blobs.MarkPresent(sha256);
  EXPECT_EQ(blobs.allocated(), 8192u);
  EXPECT_TRUE(blobs.Unlisted().empty());
  blobs.AddUser(sha256, 1);
  EXPECT_EQ(blobs.SizeOf(sha256), 5000u) << "a listing can't change what is here";
  blobs.Unpin(sha256);
  EXPECT_TRUE(blobs.Unlisted().empty());
  blobs.DropUser(sha256);
  EXPECT_EQ(blobs.Unlisted().size(), 1u);
  uint64_t version = blobs.Version(sha256);
  blobs.BeginLeaving(sha256);
  EXPECT_FALSE(blobs.IsPresent(sha256));
  blobs.MarkStayed(sha256);
  EXPECT_EQ(blobs.Version(sha256), version);
  blobs.BeginLeaving(sha256);
  blobs.MarkAbsent(sha256);
  EXPECT_EQ(blobs.allocated(), 0u);
  EXPECT_EQ(blobs.present_count(), 0u);
  blobs.Pin(sha256, 5000);
  blobs.MarkPresent(sha256);
  EXPECT_NE(blobs.Version(sha256), version);
}

TEST(TreeBookTest, GivesANameThatNoOtherTreeHas) {
  TreeBook book;
  EXPECT_EQ(book.FreeName("trees/files/s"), "trees/files/s");
  book.Add("trees/files/s", {.snapshot_id = "s"});
  EXPECT_EQ(book.FindReady("s", Layout::kFiles, ""), std::nullopt);
  book.MarkReady("trees/files/s", 0);
  EXPECT_EQ(book.FindReady("s", Layout::kFiles, ""), "trees/files/s");
  EXPECT_EQ(book.FindReady("s", Layout::kHub, ""), std::nullopt);
  book.Withdraw("trees/files/s");
  EXPECT_EQ(book.FindReady("s", Layout::kFiles, ""), std::nullopt);
  EXPECT_EQ(book.FreeName("trees/files/s"), "trees/files/s-2");
  EXPECT_TRUE(book.Records("s")[0].withdrawn);
  book.Remove("trees/files/s");
  EXPECT_TRUE(book.OfSnapshot("s").empty());
}

}  // namespace
}  // namespace weighhouse::store
