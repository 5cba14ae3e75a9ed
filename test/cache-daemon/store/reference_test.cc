#include <cerrno>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

const TestFiles kReferenceFiles = {{"w.bin", "weights"}};

class ReferenceTest : public StoreTest {
 protected:
  ReferenceTest() {
    Open();
    record_.snapshot_id = Fill(*store_, ListingOf(kReferenceFiles), kReferenceFiles)->id;
  }
  ReferenceRecord record_{.fingerprint = std::string(64, 'f'), .text = "hf://org/name@main"};
};

TEST_F(ReferenceTest, SaysAfterARestartWhatItSaidBefore) {
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  Reopen();
  auto found = store_->FindReference(record_.fingerprint);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->text, record_.text);
  EXPECT_EQ(found->snapshot_id, record_.snapshot_id);
  EXPECT_EQ(store_->References().size(), 1u);
  EXPECT_FALSE(store_->FindReference("unknown").has_value());
}

TEST_F(ReferenceTest, UnchangedIsNotWrittenAgain) {
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  int writes = filesystem_.Count("WriteFile");
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  EXPECT_EQ(filesystem_.Count("WriteFile"), writes);
}

TEST_F(ReferenceTest, MovesToTheNextSnapshot) {
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  TestFiles next = {{"w.bin", "more weights"}};
  record_.snapshot_id = Fill(*store_, ListingOf(next), next)->id;
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  Reopen();
  EXPECT_EQ(store_->FindReference(record_.fingerprint)->snapshot_id, record_.snapshot_id);
}

TEST_F(ReferenceTest, GoesWithItsSnapshot) {
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  ASSERT_TRUE(store_->Evict(record_.snapshot_id).has_value());
  EXPECT_FALSE(store_->FindReference(record_.fingerprint).has_value());
  EXPECT_TRUE(NamesBelow(Root() / "references").empty());
}

TEST_F(ReferenceTest, RefusesNamesThatAreNoDigests) {
  record_.fingerprint = "../../x";
  EXPECT_EQ(store_->RecordReference(record_).error().code, Code::kInvalidArgument);
}

TEST_F(ReferenceTest, FailedWriteLeavesTheOldOne) {
  ASSERT_TRUE(store_->RecordReference(record_).has_value());
  ReferenceRecord changed = record_;
  changed.text = "changed";
  for (std::string operation : {"WriteFile", "SyncFile", "Rename", "SyncDirectory"}) {
    filesystem_.FailAt({.operation = operation, .path = "references", .error_number = EIO});
    EXPECT_FALSE(store_->RecordReference(changed).has_value()) << operation;
    EXPECT_EQ(store_->FindReference(record_.fingerprint)->text, record_.text);
    filesystem_.ClearFaults();
  }
  EXPECT_TRUE(store_->RecordReference(changed).has_value());
}

}  // namespace
}  // namespace weighhouse::store
