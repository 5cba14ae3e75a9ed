#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <random>

#include <fmt/format.h>

#include "base/thread.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

/// Models that share files, so that what one thread evicts another is about to use.
TestFiles ModelFiles(unsigned number) {
  return {{"shared", "in every model"},
          {"config", fmt::format("pair {}", number / 2)},
          {"weights", PatternBytes(5000 + number, number)}};
}
Listing ModelListing(unsigned number) {
  return ListingOf(ModelFiles(number), {.revision = fmt::format("{:040x}", number)});
}

class ConcurrencyTest : public StoreTest {
 protected:
  static constexpr unsigned kModels = 4;
  ConcurrencyTest() { Open(); }

  /// Runs `body(random, number)` on several threads, some rounds each.
  void Race(int threads, int rounds, const std::function<void(std::mt19937&, int)>& body) {
    std::vector<std::jthread> running;
    for (int number = 0; number < threads; ++number) {
      running.push_back(StartThread("race", [&, number](std::stop_token) {
        std::mt19937 random(static_cast<unsigned>(number));
        for (int round = 0; round < rounds; ++round) body(random, number);
      }));
    }
  }
  /// What a volume does: fill, tree, lease, look, release. False if another thread was in the way.
  bool UseModel(unsigned model, const std::string& pod) {
    Listing listing = ModelListing(model);
    auto hold = store_->HoldForFill(listing.SnapshotId());
    if (!Fill(*store_, listing, ModelFiles(model)).has_value()) return false;
    auto tree = store_->EnsureTree(listing.SnapshotId(),
                                   model % 2 == 0 ? Layout::kFiles : Layout::kHub, "main");
    if (!tree.has_value()) return false;
    if (!store_->TakeLease(LeaseOn(listing.SnapshotId(), pod, *tree)).has_value()) return false;
    hold.reset();
    std::vector<std::string> contents;
    for (const auto& [path, content] : FilesBelow(Absolute(*tree))) contents.push_back(content);
    for (const auto& [path, content] : ModelFiles(model)) {
      EXPECT_EQ(std::ranges::count(contents, content), 1) << "a leased tree must be whole";
    }
    EXPECT_TRUE(store_->DropLease(LeaseOn("", pod).id).has_value());
    return true;
  }
};

TEST_F(ConcurrencyTest, EveryOperationMayMeetEveryOther) {
  std::atomic<int> used = 0;
  std::atomic<int> evicted = 0;
  Race(4, 25, [&](std::mt19937& random, int number) {
    unsigned model = static_cast<unsigned>(random()) % kModels;
    if (number == 0) {
      evicted += store_->Evict(ModelListing(model).SnapshotId()).has_value() ? 1 : 0;
    } else if (number == 1 && random() % 2 == 0) {
      auto verified = store_->VerifyBlob(Digest::Of("in every model"), {});
      EXPECT_TRUE(!verified.has_value() || *verified == std::nullopt) << (*verified)->found;
    } else {
      used += UseModel(model, fmt::format("pod-{}", number)) ? 1 : 0;
    }
    EXPECT_TRUE(store_->Space().has_value());
    store_->Snapshots();
  });
  EXPECT_GT(used.load(), 0);
  ExpectOnlyTrueBytes(*store_);
  std::vector<std::string> before;
  for (const Snapshot& snapshot : store_->Snapshots()) before.push_back(snapshot.id);
  Reopen();
  EXPECT_EQ(store_->Snapshots().size(), before.size());
  EXPECT_EQ(store_->recovery().dropped_orphans, 0u) << "nothing was forgotten";
  ExpectOnlyTrueBytes(*store_);
}

TEST_F(ConcurrencyTest, OneSnapshotBegunAndShownByManyIsMadeOnce) {
  Listing listing = ModelListing(1);
  ASSERT_TRUE(Fill(*store_, listing, ModelFiles(1)).has_value());
  Race(4, 1, [&](std::mt19937&, int) {
    EXPECT_TRUE(store_->BeginSnapshot(listing).has_value());
    EXPECT_TRUE(store_->CompleteSnapshot(listing.SnapshotId()).has_value());
    auto tree = store_->EnsureTree(listing.SnapshotId(), Layout::kFiles, "");
    EXPECT_EQ(tree.value_or(""), "trees/files/" + listing.SnapshotId());
  });
  EXPECT_EQ(filesystem_.Count("Rename", "trees/files/.new-"), 1);
}

TEST_F(ConcurrencyTest, PromisesNeverExceedTheLimit) {
  options_.limit = 20 * 4096;
  Reopen();
  std::atomic<int> refused = 0;
  Race(4, 40, [&](std::mt19937& random, int number) {
    unsigned model = static_cast<unsigned>(number);
    Listing listing = ModelListing(model);
    auto hold = store_->HoldForFill(listing.SnapshotId());
    auto begun = store_->BeginSnapshot(listing);
    ASSERT_TRUE(begun.has_value());
    Bytes missing = begun->TotalBytes() - begun->PresentBytes();
    auto reservation = store_->Reserve(missing + random() % (5 * 4096), begun->id, {});
    if (!reservation.has_value()) {
      EXPECT_TRUE(IsTemporary(reservation.error().code)) << reservation.error().message;
      ++refused;
      return;
    }
    // Another thread may be bringing the same content at this moment: then this fill has lost.
    static_cast<void>(Fill(*store_, listing, ModelFiles(model)).has_value());
    auto space = store_->Space();
    EXPECT_LE(space->used, space->limit);
    EXPECT_LE(space->held + space->reserved, space->limit);
  });
  EXPECT_EQ(store_->Space()->reserved, 0u);
  ExpectOnlyTrueBytes(*store_);
}

/// Models of one file of four blocks, which comes a block at a time.
class IngestRaceTest : public ConcurrencyTest {
 protected:
  static std::string Content(unsigned model) { return PatternBytes(4 * 4096, 50 + model); }
  static Listing Model(unsigned model) {
    return ListingOf({{"weights", Content(model)}}, {.revision = fmt::format("{:040x}", model)});
  }
  Result<std::unique_ptr<Ingest>> Start(unsigned model) {
    std::string content = Content(model);
    return store_->StartIngest(IngestIdOf(content), Sha256Of(content), content.size());
  }
  static void ExpectTrue(const Ingest& ingest, unsigned model) {
    std::string staged = ReadTestFile(ingest.path());
    for (const ByteRange& range : ingest.resumed()) {
      EXPECT_EQ(staged.substr(range.begin, range.size()),
                Content(model).substr(range.begin, range.size()));
    }
  }
  /// One attempt that brings the block after those from before, and goes away without an end.
  bool BringOneBlock(unsigned model, bool discard) {
    auto hold = store_->HoldForFill(Model(model).SnapshotId());
    EXPECT_TRUE(store_->BeginSnapshot(Model(model)).has_value());
    auto reservation = store_->Reserve(4 * 4096, Model(model).SnapshotId(), {});
    if (!reservation.has_value()) return false;
    auto ingest = Start(model);
    if (!ingest.has_value()) return false;
    ExpectTrue(**ingest, model);
    bool resumed = !(*ingest)->resumed().empty();
    Bytes end = resumed ? (*ingest)->resumed()[0].end : 0;
    if (end == 4 * 4096) discard = true;
    if (discard) {
      (*ingest)->Discard();
    } else {
      ByteRange block{.begin = end, .end = end + 4096};
      EXPECT_TRUE(WriteStaged(**ingest, Content(model), block).has_value());
      EXPECT_TRUE((*ingest)->RecordDurable({{.begin = 0, .end = block.end}}).has_value());
    }
    auto space = store_->Space();
    EXPECT_LE(space->used, space->limit);
    EXPECT_LE(space->held + space->reserved, space->limit);
    return resumed;
  }
};

TEST_F(IngestRaceTest, ResumedGivenUpAndEvictedAtTheSameMoment) {
  options_.limit = 14 * 4096;
  Reopen();
  std::atomic<int> resumed = 0;
  Race(4, 60, [&](std::mt19937& random, int number) {
    unsigned model = static_cast<unsigned>(random()) % 3;
    if (number == 0 && random() % 3 == 0) {
      static_cast<void>(store_->Evict(Model(model).SnapshotId()).has_value());
    } else {
      resumed += BringOneBlock(model, random() % 8 == 0) ? 1 : 0;
    }
  });
  EXPECT_GT(resumed.load(), 0);
  Bytes used = store_->Space()->used;
  EXPECT_EQ(used, store_->Space()->evictable);
  Reopen();
  EXPECT_EQ(store_->recovery().dropped_ingests, 0u);
  EXPECT_EQ(store_->Space()->used, used);
  ExpectNoGarbage(Root());
  for (unsigned model = 0; model < 3; ++model) ExpectTrue(**Start(model), model);
}

TEST_F(ConcurrencyTest, LeaseOrEvictionNeverBoth) {
  for (int round = 0; round < 20; ++round) {
    Listing listing = ModelListing(0);
    ASSERT_TRUE(Fill(*store_, listing, ModelFiles(0)).has_value());
    std::string id = listing.SnapshotId();
    std::string tree = *store_->EnsureTree(id, Layout::kFiles, "");
    bool leased = false;
    bool evicted = false;
    Race(2, 1, [&](std::mt19937&, int number) {
      if (number == 0) leased = store_->TakeLease(LeaseOn(id, "pod", tree)).has_value();
      if (number == 1) evicted = store_->Evict(id).has_value();
    });
    EXPECT_NE(leased, evicted);
    EXPECT_EQ(std::filesystem::exists(Absolute(tree)), leased);
    EXPECT_TRUE(store_->DropLease(LeaseOn(id, "pod").id).has_value());
  }
}

}  // namespace
}  // namespace weighhouse::store
