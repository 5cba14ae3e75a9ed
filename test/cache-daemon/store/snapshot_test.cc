#include <filesystem>

#include <gmock/gmock.h>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const TestFiles kSnapshotFiles = {{"config.json", "{}"}, {"model.safetensors", "weights"}};
const std::string kOtherOrigin = "hf+https://hub.test/other/name";

class SnapshotTest : public StoreTest {
 protected:
  SnapshotTest() { Open(); }
};

TEST_F(SnapshotTest, IsRecordedBeforeItsFirstByte) {
  auto snapshot = store_->BeginSnapshot(ListingOf(kSnapshotFiles));
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_FALSE(snapshot->complete);
  EXPECT_EQ(snapshot->PresentBytes(), 0u);
  EXPECT_EQ(snapshot->TotalBytes(), 9u);
  Reopen();
  auto found = store_->FindSnapshot(ListingOf(kSnapshotFiles).SnapshotId());
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->origin, snapshot->origin);
  EXPECT_EQ(found->revision, snapshot->revision);
  EXPECT_EQ(found->repository, "org/name");
  EXPECT_TRUE(found->anonymous);
  ASSERT_EQ(found->files.size(), 2u);
  EXPECT_EQ(found->files[1].listed, snapshot->files[1].listed);
}

TEST_F(SnapshotTest, KnownAlreadyIsReturnedAsItIs) {
  auto filled = Fill(*store_, ListingOf(kSnapshotFiles), kSnapshotFiles);
  ASSERT_TRUE(filled.has_value());
  auto again = store_->BeginSnapshot(ListingOf(kSnapshotFiles));
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->complete);
  EXPECT_EQ(again->PresentBytes(), 9u);
}

TEST_F(SnapshotTest, CantBeCompletedWhileAFileHasNoBlob) {
  auto snapshot = store_->BeginSnapshot(ListingOf(kSnapshotFiles));
  ASSERT_TRUE(Put(*store_, snapshot->id, Sha256Of("{}"), "{}").has_value());
  auto completed = store_->CompleteSnapshot(snapshot->id);
  ASSERT_FALSE(completed.has_value());
  EXPECT_EQ(completed.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(completed.error().message, HasSubstr("model.safetensors"));
  EXPECT_EQ(store_->CompleteSnapshot(std::string(64, '0')).error().code, Code::kNotFound);
}

TEST_F(SnapshotTest, StaysCompleteOverARestartAndDropsItsJournal) {
  auto snapshot = Fill(*store_, ListingOf(kSnapshotFiles), kSnapshotFiles);
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_TRUE(snapshot->complete);
  EXPECT_FALSE(fs::exists(Names().SnapshotJournal(snapshot->id)));
  Reopen();
  EXPECT_TRUE(store_->FindSnapshot(snapshot->id)->complete);
  EXPECT_EQ(store_->recovery().snapshots, 1u);
  EXPECT_EQ(store_->recovery().blobs, 2u);
}

TEST_F(SnapshotTest, KeepsTheBlobsOfAnUnfinishedFillOverARestart) {
  auto snapshot = store_->BeginSnapshot(ListingOf(kSnapshotFiles, {.identify = GitSha1Of}));
  ASSERT_TRUE(Put(*store_, snapshot->id, GitSha1Of("{}"), "{}").has_value());
  Reopen();
  auto found = store_->FindSnapshot(snapshot->id);
  EXPECT_FALSE(found->complete);
  EXPECT_EQ(found->PresentBytes(), 2u);
  EXPECT_TRUE(BlobExists("{}"));
  ASSERT_TRUE(Put(*store_, snapshot->id, GitSha1Of("weights"), "weights").has_value());
  EXPECT_TRUE(store_->CompleteSnapshot(snapshot->id).has_value());
}

TEST_F(SnapshotTest, AnonymousResolveOpensAnOriginForGoodAndNoneClosesIt) {
  std::string id = ListingOf(kSnapshotFiles).SnapshotId();
  ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kSnapshotFiles, {.anonymous = false})).has_value());
  EXPECT_FALSE(store_->FindSnapshot(id)->anonymous);
  ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kSnapshotFiles, {.anonymous = true})).has_value());
  ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kSnapshotFiles, {.anonymous = false})).has_value());
  EXPECT_TRUE(store_->FindSnapshot(id)->anonymous);
  Reopen();
  EXPECT_TRUE(store_->FindSnapshot(id)->anonymous);
}

TEST_F(SnapshotTest, NextRevisionOfAnOriginTakesOverWhatDidNotChange) {
  ASSERT_TRUE(Fill(*store_, ListingOf(kSnapshotFiles, {.anonymous = false, .identify = GitSha1Of}),
                   kSnapshotFiles)
                  .has_value());
  TestFiles next = kSnapshotFiles;
  next["config.json"] = "{\"a\":1}";
  auto snapshot = store_->BeginSnapshot(ListingOf(
      next, {.revision = std::string(40, 'b'), .anonymous = false, .identify = GitSha1Of}));
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_EQ(snapshot->PresentBytes(), 7u);
  Reopen();
  EXPECT_EQ(store_->FindSnapshot(snapshot->id)->PresentBytes(), 7u);
}

TEST_F(SnapshotTest, DigestAloneIsNoKeyToAPrivateOriginsBytes) {
  ASSERT_TRUE(
      Fill(*store_, ListingOf(kSnapshotFiles, {.anonymous = false}), kSnapshotFiles).has_value());
  EXPECT_EQ(store_->UsableFiles(ListingOf(kSnapshotFiles, {.anonymous = false})).size(),
            kSnapshotFiles.size());
  for (bool anonymous : {false, true}) {
    Listing listing = ListingOf(kSnapshotFiles, {.origin = kOtherOrigin, .anonymous = anonymous});
    EXPECT_TRUE(store_->UsableFiles(listing).empty());
    auto other = store_->BeginSnapshot(listing);
    ASSERT_TRUE(other.has_value());
    EXPECT_EQ(other->PresentBytes(), 0u) << "a listing that names a digest proves nothing";
    EXPECT_TRUE(store_->UsableFiles(listing).empty());
  }
}

TEST_F(SnapshotTest, OriginThatDeliversTheBytesItselfMayUseTheBlobThatIsThere) {
  ASSERT_TRUE(
      Fill(*store_, ListingOf(kSnapshotFiles, {.anonymous = false}), kSnapshotFiles).has_value());
  auto other =
      Fill(*store_, ListingOf(kSnapshotFiles, {.origin = kOtherOrigin, .anonymous = false}),
           kSnapshotFiles);
  ASSERT_TRUE(other.has_value()) << other.error().message;
  EXPECT_TRUE(MayUse(kOtherOrigin, "weights"));
  EXPECT_EQ(store_->recovery().blobs, 0u);
  EXPECT_EQ(FilesBelow(Root() / "blobs").size(), 2u);
}

TEST_F(SnapshotTest, PublicBytesServeAnyOriginBySha256AndSurviveARestart) {
  ASSERT_TRUE(Fill(*store_, ListingOf(kSnapshotFiles), kSnapshotFiles).has_value());
  EXPECT_TRUE(MayUse(kOtherOrigin, "weights"));
  Listing listing = ListingOf(kSnapshotFiles, {.origin = kOtherOrigin, .anonymous = false});
  EXPECT_EQ(store_->BeginSnapshot(listing)->PresentBytes(), 9u);
  Reopen();
  EXPECT_EQ(store_->FindSnapshot(listing.SnapshotId())->PresentBytes(), 9u);
  EXPECT_TRUE(store_->CompleteSnapshot(listing.SnapshotId()).has_value());
}

TEST_F(SnapshotTest, BorrowedPublicBytesAreNoEvidenceForTheBorrower) {
  auto lender = Fill(*store_, ListingOf(kSnapshotFiles), kSnapshotFiles);
  Listing borrower = ListingOf(kSnapshotFiles, {.origin = kOtherOrigin, .anonymous = false});
  ASSERT_TRUE(store_->BeginSnapshot(borrower).has_value());
  ASSERT_TRUE(store_->CompleteSnapshot(borrower.SnapshotId()).has_value());
  ASSERT_TRUE(store_->Evict(lender->id).has_value());
  EXPECT_TRUE(BlobExists("weights"));
  EXPECT_FALSE(MayUse(kOtherOrigin, "weights"));
  Reopen();
  EXPECT_FALSE(MayUse(kOtherOrigin, "weights"));
  EXPECT_TRUE(store_->FindSnapshot(borrower.SnapshotId())->complete);
}

TEST_F(SnapshotTest, WeakIdentitiesNeverMatchAcrossOrigins) {
  ASSERT_TRUE(Fill(*store_, ListingOf(kSnapshotFiles, {.identify = GitSha1Of}), kSnapshotFiles)
                  .has_value());
  auto other = store_->BeginSnapshot(
      ListingOf(kSnapshotFiles, {.origin = kOtherOrigin, .identify = GitSha1Of}));
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->PresentBytes(), 0u);
}

TEST_F(SnapshotTest, ListingWithAnotherSizeThanTheBlobsGetsNothing) {
  ASSERT_TRUE(Fill(*store_, ListingOf(kSnapshotFiles), kSnapshotFiles).has_value());
  Listing lying = ListingOf(kSnapshotFiles, {.revision = std::string(40, 'c')});
  for (ListedFile& file : lying.files) file.size += 1;
  EXPECT_EQ(store_->BeginSnapshot(lying)->PresentBytes(), 0u);
}

TEST_F(SnapshotTest, CompletesWithWhatAnotherFillBrought) {
  auto first = store_->BeginSnapshot(ListingOf(kSnapshotFiles));
  auto second =
      store_->BeginSnapshot(ListingOf(kSnapshotFiles, {.revision = std::string(40, 'd')}));
  for (const auto& [path, content] : kSnapshotFiles) {
    ASSERT_TRUE(Put(*store_, first->id, Sha256Of(content), content).has_value());
  }
  EXPECT_TRUE(store_->CompleteSnapshot(second->id).has_value());
  EXPECT_TRUE(store_->FindSnapshot(second->id)->complete);
}

TEST_F(SnapshotTest, RefusesHostileListings) {
  for (std::string path :
       {"", "/etc/passwd", "../x", "a/../x", "a//b", ".", "a/", "a\nb", "\xFF"}) {
    auto begun = store_->BeginSnapshot(ListingOf({{path, "x"}}));
    ASSERT_FALSE(begun.has_value()) << path;
    EXPECT_EQ(begun.error().code, Code::kInvalidArgument);
  }
  EXPECT_FALSE(store_->BeginSnapshot(ListingOf({{std::string(256, 'a'), "x"}})).has_value());
  EXPECT_FALSE(store_->BeginSnapshot(ListingOf({{"a", "x"}, {"a/b", "y"}})).has_value());
  Listing doubled = ListingOf({{"a", "x"}});
  doubled.files.push_back(doubled.files[0]);
  EXPECT_FALSE(store_->BeginSnapshot(doubled).has_value());
  Listing no_digest = ListingOf({{"a", "x"}});
  no_digest.files[0].identity.value = "../../etc";
  EXPECT_FALSE(store_->BeginSnapshot(no_digest).has_value());
  EXPECT_TRUE(store_->Snapshots().empty());
}

TEST_F(SnapshotTest, LastUseIsKeptOverARestartAndNeverGoesBack) {
  auto older = Fill(*store_, ListingOf(kSnapshotFiles), kSnapshotFiles);
  clock_.Advance(std::chrono::seconds(10));
  auto newer = Fill(*store_, ListingOf({{"b", "b"}}), {{"b", "b"}});
  clock_.Advance(std::chrono::seconds(10));
  store_->Touch(older->id);
  auto used = store_->FindSnapshot(older->id)->last_used;
  EXPECT_EQ(used, clock_.Now());
  EXPECT_EQ(store_->Snapshots().front().id, older->id);
  clock_.Advance(std::chrono::seconds(-100));
  store_->Touch(newer->id);
  EXPECT_EQ(store_->FindSnapshot(newer->id)->last_used, used);
  EXPECT_EQ(store_->Snapshots().front().id, newer->id);
  Reopen();
  EXPECT_EQ(store_->FindSnapshot(older->id)->last_used, used);
  EXPECT_EQ(store_->FindSnapshot(newer->id)->last_used, used);
}

TEST_F(SnapshotTest, RecordKeepsTheLastUseWhenItIsWrittenAgain) {
  auto snapshot = store_->BeginSnapshot(ListingOf(kSnapshotFiles, {.anonymous = false}));
  clock_.Advance(std::chrono::seconds(50));
  ASSERT_TRUE(store_->BeginSnapshot(ListingOf(kSnapshotFiles)).has_value());
  Reopen();
  EXPECT_EQ(store_->FindSnapshot(snapshot->id)->last_used, snapshot->last_used);
}

}  // namespace
}  // namespace weighhouse::store
