#include <filesystem>

#include "cache-daemon/store/volume_book.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

class VolumeTest : public StoreTest {
 protected:
  VolumeTest() { Open(); }
  VolumeRecord Of(const std::string& volume_id) const {
    return {.volume_id = volume_id,
            .request_digest = Digest::Of("request").Hex(),
            .model = "hf://org/name@main",
            .commit = std::string(40, 'a'),
            .model_bytes = 7,
            .capacity_bytes = 9,
            .created = clock_.Now()};
  }
  void AdvanceDays(int days) { clock_.Advance(std::chrono::hours(24 * days)); }
};

TEST_F(VolumeTest, IsRememberedOverAStart) {
  ASSERT_TRUE(store_->RecordVolume(Of("volume")).has_value());
  Reopen();
  EXPECT_EQ(store_->recovery().volumes, 1u);
  auto known = store_->FindVolume("volume");
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->request_digest, Of("volume").request_digest);
  EXPECT_EQ(known->model, "hf://org/name@main");
  EXPECT_EQ(known->commit, std::string(40, 'a'));
  EXPECT_EQ(known->model_bytes, 7u);
  EXPECT_EQ(known->capacity_bytes, 9u);
  EXPECT_EQ(known->created, clock_.Now());
}

TEST_F(VolumeTest, IsForgottenOnDemandAsOftenAsAsked) {
  ASSERT_TRUE(store_->RecordVolume(Of("volume")).has_value());
  ASSERT_TRUE(store_->ForgetVolume("volume").has_value());
  ASSERT_TRUE(store_->ForgetVolume("volume").has_value());
  EXPECT_FALSE(store_->FindVolume("volume").has_value());
  EXPECT_TRUE(NamesBelow(Root() / "volumes").empty());
  EXPECT_EQ(store_->Count().volumes, 0u);
}

TEST_F(VolumeTest, WhoseDeleteGotLostIsForgottenAfterThirtyDays) {
  ASSERT_TRUE(store_->RecordVolume(Of("volume")).has_value());
  AdvanceDays(29);
  ASSERT_TRUE(store_->RecordVolume(Of("younger")).has_value());
  store_->ForgetOldVolumes();
  EXPECT_EQ(store_->Count().volumes, 2u);
  AdvanceDays(1);
  store_->ForgetOldVolumes();
  EXPECT_EQ(store_->Count().volumes, 1u);
  EXPECT_TRUE(store_->FindVolume("younger").has_value());
  EXPECT_EQ(NamesBelow(Root() / "volumes").size(), 1u);
}

TEST_F(VolumeTest, ThatIsMountedIsRememberedForAsLong) {
  TestFiles files = {{"a", "content"}};
  std::string id = Fill(*store_, ListingOf(files), files)->id;
  LeaseRecord lease = LeaseOn(id, "pod");
  ASSERT_TRUE(store_->TakeLease(lease).has_value());
  ASSERT_TRUE(store_->RecordVolume(Of(lease.volume_id)).has_value());
  AdvanceDays(100);
  store_->ForgetOldVolumes();
  EXPECT_EQ(store_->Count().volumes, 1u);
  ASSERT_TRUE(store_->DropLease(lease.id).has_value());
  store_->ForgetOldVolumes();
  EXPECT_EQ(store_->Count().volumes, 0u);
}

TEST_F(VolumeTest, ThatCantBeWrittenIsNone) {
  for (const char* operation : {"SyncFile", "Rename", "SyncDirectory"}) {
    filesystem_.FailAt({.operation = operation, .path = "volumes", .error_number = EIO});
    EXPECT_FALSE(store_->RecordVolume(Of("volume")).has_value()) << operation;
    EXPECT_FALSE(store_->FindVolume("volume").has_value()) << operation;
    Reopen();
    EXPECT_FALSE(store_->FindVolume("volume").has_value()) << operation;
  }
  EXPECT_TRUE(store_->RecordVolume(Of("volume")).has_value());
}

TEST_F(VolumeTest, ThatStayedThoughItCouldntBeWrittenIsForgotten) {
  filesystem_.FailAt({.operation = "SyncDirectory", .path = "volumes", .error_number = EIO});
  filesystem_.FailAt({.operation = "Unlink", .path = "volumes", .error_number = EIO});
  EXPECT_FALSE(store_->RecordVolume(Of("volume")).has_value());
  ASSERT_EQ(NamesBelow(Root() / "volumes").size(), 1u);
  ASSERT_TRUE(store_->ForgetVolume("volume").has_value());
  EXPECT_TRUE(NamesBelow(Root() / "volumes").empty());
}

TEST_F(VolumeTest, AnOlderRootGetsItsDirectory) {
  Close();
  std::filesystem::remove(Root() / "volumes");
  Open();
  EXPECT_TRUE(store_->RecordVolume(Of("volume")).has_value());
}

TEST(VolumeRecordTest, WhatIsNoneIsRefused) {
  VolumeRecord volume{.volume_id = "volume"};
  EXPECT_TRUE(ParseVolume(VolumeToJson(volume), VolumeKey("volume")).has_value());
  EXPECT_EQ(ParseVolume(VolumeToJson(volume), VolumeKey("other")).error().code, Code::kDataLoss);
  EXPECT_FALSE(ParseVolume("{}", VolumeKey("volume")).has_value());
  EXPECT_FALSE(ParseVolume("[", VolumeKey("volume")).has_value());
}

}  // namespace
}  // namespace weighhouse::store
