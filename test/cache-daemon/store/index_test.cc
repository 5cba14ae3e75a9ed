#include "cache-daemon/store/index.h"

#include <gtest/gtest.h>

namespace weighhouse::store {
namespace {

const Digest kOld = Digest::Of("old");
const Digest kNew = Digest::Of("new");
const FileIdentity kToken = {.kind = FileIdentity::Kind::kVersionToken, .value = "v1"};

/// A snapshot with two files of one identity and size, and one of another size.
class IndexTest : public testing::Test {
 protected:
  void Insert(std::optional<Digest> blob, bool borrowed) {
    SnapshotRecord record;
    record.snapshot.id = "snapshot";
    record.snapshot.origin = "origin";
    for (Bytes size : {Bytes{3}, Bytes{3}, Bytes{4}}) {
      ListedFile listed{.path = "f", .size = size, .identity = kToken};
      record.snapshot.files.push_back({.listed = listed, .blob = size == 3 ? blob : std::nullopt});
      record.borrowed.push_back(borrowed);
    }
    index_.Insert(record);
  }
  std::optional<Digest> BlobOf(size_t file) const {
    return index_.catalog.Find("snapshot")->snapshot.files[file].blob;
  }

  Index index_;
};

TEST_F(IndexTest, ADeliveryIsTheBlobOfAllFilesThatAreMeant) {
  Insert(std::nullopt, false);
  EXPECT_FALSE(index_.catalog.IsDeliveredBy("origin", kNew));
  index_.Deliver("snapshot", {.identity = kToken, .size = 3, .sha256 = kNew});
  EXPECT_EQ(BlobOf(0), kNew);
  EXPECT_EQ(BlobOf(1), kNew);
  EXPECT_EQ(BlobOf(2), std::nullopt);
  EXPECT_EQ(index_.blobs.Users(kNew), 1U);
  EXPECT_TRUE(index_.catalog.IsDeliveredBy("origin", kNew));
  index_.Erase("snapshot");
  EXPECT_EQ(index_.blobs.Users(kNew), 0U);
}

TEST_F(IndexTest, ADeliveryReplacesWhatTheFilesWere) {
  Insert(kOld, false);
  index_.Deliver("snapshot", {.identity = kToken, .size = 3, .sha256 = kNew});
  EXPECT_EQ(index_.blobs.Users(kOld), 0U);
  EXPECT_EQ(index_.blobs.Users(kNew), 1U);
  EXPECT_FALSE(index_.catalog.IsDeliveredBy("origin", kOld));
}

TEST_F(IndexTest, ADeliveryOfTheSameBlobMakesTheOriginItsOwnWitness) {
  Insert(kOld, true);
  EXPECT_FALSE(index_.catalog.IsDeliveredBy("origin", kOld));
  index_.Deliver("snapshot", {.identity = kToken, .size = 3, .sha256 = kOld});
  EXPECT_TRUE(index_.catalog.IsDeliveredBy("origin", kOld));
  EXPECT_EQ(index_.blobs.Users(kOld), 1U);
}

}  // namespace
}  // namespace weighhouse::store
