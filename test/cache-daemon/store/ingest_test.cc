#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include <gmock/gmock.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kFileContent = "the bytes of one file";

class IngestTest : public StoreTest {
 protected:
  IngestTest() {
    Open();
    snapshot_id_ =
        store_->BeginSnapshot(ListingOf({{"a", kFileContent}, {"copy/of/a", kFileContent}}))->id;
  }
  std::unique_ptr<Ingest> Start(Bytes size = kFileContent.size()) {
    auto ingest = store_->StartIngest(IngestIdOf(kFileContent), Sha256Of(kFileContent), size);
    EXPECT_TRUE(ingest.has_value());
    return std::move(*ingest);
  }
  Result<> Commit(Ingest& ingest, const std::string& content) {
    return ingest.Commit(snapshot_id_, Sha256Of(content), content.size(), Digest::Of(content));
  }
  std::string snapshot_id_;
};

TEST_F(IngestTest, CommittedBytesAreTheBlobOfEveryFileWithThatIdentity) {
  ASSERT_TRUE(Put(*store_, snapshot_id_, Sha256Of(kFileContent), kFileContent).has_value());
  EXPECT_EQ(ReadTestFile(Names().Blob(Digest::Of(kFileContent))), kFileContent);
  auto snapshot = store_->FindSnapshot(snapshot_id_);
  for (const SnapshotFile& file : snapshot->files) EXPECT_EQ(file.blob, Digest::Of(kFileContent));
  EXPECT_TRUE(NamesBelow(Root() / "ingests").empty());
  ExpectOnlyTrueBytes(*store_);
}

TEST_F(IngestTest, IsPreallocatedInWholeBlocksAndInvisible) {
  auto ingest = Start();
  EXPECT_EQ(fs::file_size(ingest->path()), 4096u);
  EXPECT_TRUE(FilesBelow(Root() / "blobs").empty());
  EXPECT_EQ(store_->Space()->used, 4096u);
}

TEST_F(IngestTest, AbortsWhenDestroyedUncommitted) {
  Start();
  EXPECT_TRUE(NamesBelow(Root() / "ingests").empty());
  EXPECT_EQ(store_->Space()->used, 0u);
  Start();
}

TEST_F(IngestTest, OneIdIsUnderWayOnce) {
  auto ingest = Start();
  auto second = store_->StartIngest(IngestIdOf(kFileContent), Sha256Of(kFileContent), 1);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  EXPECT_TRUE(store_->StartIngest(std::string(64, '1'), Sha256Of(""), 1).has_value());
  EXPECT_EQ(store_->StartIngest("../x", {}, 1).error().code, Code::kInvalidArgument);
}

TEST_F(IngestTest, EmptyFileIsABlobToo) {
  std::string id = store_->BeginSnapshot(ListingOf({{"empty", ""}}))->id;
  ASSERT_TRUE(Put(*store_, id, Sha256Of(""), "").has_value());
  ASSERT_TRUE(store_->CompleteSnapshot(id).has_value());
  ExpectOnlyTrueBytes(*store_);
}

TEST_F(IngestTest, RefusesToRecordWhatIsNotTrue) {
  auto ingest = Start();
  std::string other = "something else, of other size";
  Digest sha256 = Digest::Of(kFileContent);
  EXPECT_EQ(ingest->Commit(snapshot_id_, Sha256Of(kFileContent), 5, sha256).error().code,
            Code::kInvalidArgument);
  auto mismatch =
      ingest->Commit(snapshot_id_, Sha256Of(kFileContent), kFileContent.size(), Digest::Of(other));
  EXPECT_THAT(mismatch.error().message, HasSubstr(Digest::Of(other).Hex()));
  EXPECT_EQ(ingest->Commit(snapshot_id_, Sha256Of(other), kFileContent.size(), Digest::Of(other))
                .error()
                .code,
            Code::kInvalidArgument);
  EXPECT_EQ(
      ingest->Commit(std::string(64, '0'), Sha256Of(kFileContent), kFileContent.size(), sha256)
          .error()
          .code,
      Code::kNotFound);
  ASSERT_EQ(::ftruncate(ingest->fd(), 3), 0);
  EXPECT_EQ(Commit(*ingest, kFileContent).error().code, Code::kDataLoss);
  EXPECT_TRUE(FilesBelow(Root() / "blobs").empty());
}

TEST_F(IngestTest, CommitsOnce) {
  auto ingest = Start();
  ASSERT_EQ(::fcntl(ingest->fd(), F_SETFL, 0), 0);
  ASSERT_EQ(::pwrite(ingest->fd(), kFileContent.data(), kFileContent.size(), 0),
            static_cast<ssize_t>(kFileContent.size()));
  ASSERT_TRUE(Commit(*ingest, kFileContent).has_value());
  EXPECT_EQ(Commit(*ingest, kFileContent).error().code, Code::kFailedPrecondition);
}

TEST_F(IngestTest, BlobThatIsThereStaysAndOursIsDropped) {
  ASSERT_TRUE(Put(*store_, snapshot_id_, Sha256Of(kFileContent), kFileContent).has_value());
  std::string blob = Names().Blob(Digest::Of(kFileContent));
  auto inode = disk_.Status(blob)->inode;
  Listing private_listing =
      ListingOf({{"a", kFileContent}}, {.origin = "s3://private", .identify = GitSha1Of});
  std::string id = store_->BeginSnapshot(private_listing)->id;
  ASSERT_TRUE(Put(*store_, id, GitSha1Of(kFileContent), kFileContent).has_value());
  EXPECT_EQ(disk_.Status(blob)->inode, inode);
  EXPECT_TRUE(store_->CompleteSnapshot(id).has_value());
}

TEST_F(IngestTest, JournalLineIsOnTheDiskBeforeTheBlobHasItsName) {
  ASSERT_TRUE(Put(*store_, snapshot_id_, Sha256Of(kFileContent), kFileContent).has_value());
  int journal = -1;
  int rename = -1;
  int synced = -1;
  std::vector<std::string> calls = filesystem_.Calls();
  for (int i = 0; i < static_cast<int>(calls.size()); ++i) {
    const std::string& call = calls[static_cast<size_t>(i)];
    if (call.starts_with("AppendAndSync") && call.ends_with(".verified")) journal = i;
    if (call.starts_with("SyncData")) synced = i;
    if (call.starts_with("Rename") && call.contains("/data ")) rename = i;
  }
  EXPECT_GE(synced, 0);
  EXPECT_LT(synced, journal);
  EXPECT_LT(journal, rename);
}

TEST_F(IngestTest, TornJournalLineIsIgnoredAndSpoilsNoLaterOne) {
  std::string first = "first";
  std::string second = "second";
  Listing listing = ListingOf({{"1", first}, {"2", second}}, {.identify = GitSha1Of});
  std::string id = store_->BeginSnapshot(listing)->id;
  ASSERT_TRUE(Put(*store_, id, GitSha1Of(first), first).has_value());
  std::string journal = Names().SnapshotJournal(id);
  std::string torn = ReadTestFile(journal) + "\ngit-sha1 " + GitSha1Of(second).value + " 6 abcd";
  WriteTestFile(journal, torn);
  Reopen();
  EXPECT_EQ(store_->FindSnapshot(id)->PresentBytes(), first.size());
  ASSERT_TRUE(Put(*store_, id, GitSha1Of(second), second).has_value());
  Reopen();
  EXPECT_EQ(store_->FindSnapshot(id)->PresentBytes(), first.size() + second.size());
}

TEST_F(IngestTest, WritesBufferedWhereTheDiskTakesNoDirectIo) {
  // tmpfs takes O_DIRECT since Linux 6.6, so the flag is only looked at, not counted on.
  auto ingest = Start();
  bool direct = (::fcntl(ingest->fd(), F_GETFL) & O_DIRECT) != 0;
  EXPECT_EQ(ingest->direct(), direct);
}

}  // namespace
}  // namespace weighhouse::store
