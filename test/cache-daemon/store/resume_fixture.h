#pragma once

#include <memory>
#include <string>
#include <vector>

#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {

/// Ten blocks, the last one ragged.
inline const std::string kContent = PatternBytes(10 * kBlock - 5, 9);
inline const ByteRange kHead{.begin = 0, .end = 3 * kBlock};
inline const ByteRange kTail{.begin = 9 * kBlock, .end = kContent.size()};
inline const ByteRange kRest{.begin = 3 * kBlock, .end = 9 * kBlock};
inline const Listing kModel = ListingOf({{"weights", kContent}});

/// A store with one incomplete snapshot of one file, kContent.
class ResumeTest : public StoreTest {
 protected:
  ResumeTest() {
    Open();
    EXPECT_TRUE(store_->BeginSnapshot(kModel).has_value());
  }

  std::unique_ptr<Ingest> Start(const FileIdentity& identity = Sha256Of(kContent),
                                Bytes size = kContent.size()) {
    auto ingest = store_->StartIngest(id_, identity, size);
    EXPECT_TRUE(ingest.has_value()) << ingest.error().message;
    return std::move(*ingest);
  }
  /// An ingest with two ranges written and recorded.
  std::unique_ptr<Ingest> StartAndRecord() {
    auto ingest = Start();
    for (const ByteRange& range : {kHead, kTail}) {
      EXPECT_TRUE(WriteStaged(*ingest, kContent, range).has_value());
    }
    EXPECT_TRUE(ingest->RecordDurable({kHead, kTail}).has_value());
    return ingest;
  }
  void Finish(Ingest& ingest) {
    ASSERT_TRUE(
        ingest
            .Commit(kModel.SnapshotId(), Sha256Of(kContent), kContent.size(), Digest::Of(kContent))
            .has_value());
    ASSERT_TRUE(store_->CompleteSnapshot(kModel.SnapshotId()).has_value());
    ExpectOnlyTrueBytes(*store_);
  }
  std::string State() const { return Names().IngestState(id_); }
  std::vector<std::string> Left() const { return NamesBelow(Root() / "ingests"); }

  const std::string id_ = IngestIdOf(kContent);
};

}  // namespace weighhouse::store
