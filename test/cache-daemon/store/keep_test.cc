// Snapshots that are kept: never evicted, and held.

#include <random>

#include <fmt/format.h>

#include "test/cache-daemon/store/resume_fixture.h"

namespace weighhouse::store {
namespace {

class KeepTest : public StoreTest {
 protected:
  KeepTest() { Open(); }
  void LimitTo(size_t blocks) {
    options_.limit = blocks * kBlock;
    Reopen();
  }
  static TestFiles Sized(const std::string& name, size_t blocks) {
    return {{name, PatternBytes(blocks * kBlock, std::hash<std::string>{}(name))}};
  }
  static Listing Model(const TestFiles& files, char revision) {
    return ListingOf(files, {.revision = std::string(40, revision)});
  }
  std::string FillOne(const TestFiles& files, char revision) {
    clock_.Advance(std::chrono::seconds(1));
    auto snapshot = Fill(*store_, Model(files, revision), files);
    EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
    return snapshot->id;
  }
  bool IsHere(const std::string& id) { return store_->FindSnapshot(id).has_value(); }
};

TEST_F(KeepTest, WhatIsBeingEvictedIsNoLongerWhole) {
  std::string id = FillOne(Sized("1", 3), '1');
  EXPECT_TRUE(store_->IsWhole(id));
  bool whole = true;
  filesystem_.Before("Unlink", id + ".json", [&] { whole = store_->IsWhole(id); });
  ASSERT_TRUE(store_->Evict(id));
  EXPECT_FALSE(whole);
}

TEST_F(KeepTest, KeptSnapshotIsNoVictimThoughItWasUsedLast) {
  LimitTo(10);
  std::string kept = FillOne(Sized("1", 3), '1');
  std::string second = FillOne(Sized("2", 3), '2');
  std::string third = FillOne(Sized("3", 3), '3');
  store_->SetKept({kept});
  EXPECT_TRUE(store_->Reserve(4 * kBlock, "new", {}).has_value());
  EXPECT_TRUE(IsHere(kept));
  EXPECT_FALSE(IsHere(second));
  EXPECT_EQ(store_->Reserve(8 * kBlock, "new", {}).error().code, Code::kResourceExhausted);
  EXPECT_TRUE(IsHere(third)) << "what can't help is not evicted";
  EXPECT_TRUE(store_->Reserve(7 * kBlock, "new", {}).has_value());
  EXPECT_TRUE(IsHere(kept));
  EXPECT_FALSE(IsHere(third));
  store_->SetKept({});
  EXPECT_TRUE(store_->Reserve(8 * kBlock, "new", {}).has_value());
  EXPECT_FALSE(IsHere(kept));
}

TEST_F(KeepTest, EvictSaysThatTheConfigurationKeepsIt) {
  std::string kept = FillOne(Sized("1", 3), '1');
  store_->SetKept({kept});
  auto refused = store_->Evict(kept);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(refused.error().message.contains("kept by the configuration"))
      << refused.error().message;
  store_->SetKept({});
  EXPECT_EQ(store_->Evict(kept).value_or(0), 3 * kBlock);
}

TEST_F(KeepTest, SmallerLimitLeavesWhatIsKept) {
  LimitTo(10);
  std::string kept = FillOne(Sized("1", 3), '1');
  std::string idle = FillOne(Sized("2", 3), '2');
  store_->SetKept({kept});
  ASSERT_TRUE(store_->SetLimits(2 * kBlock, 0).has_value());
  auto fit = store_->EvictToFit(FitTo::kLimit);
  ASSERT_TRUE(fit.has_value());
  EXPECT_EQ(fit->snapshots, 1u);
  EXPECT_EQ(fit->excess, kBlock);
  EXPECT_TRUE(IsHere(kept));
  EXPECT_FALSE(IsHere(idle));
}

TEST_F(KeepTest, MayBeKeptBeforeItIsKnownAndIsCountedOnceItIs) {
  TestFiles files = Sized("1", 3);
  std::string id = Model(files, '1').SnapshotId();
  store_->SetKept({id});
  EXPECT_EQ(store_->Kept(), std::set<std::string>{id});
  EXPECT_EQ(store_->Count().snapshots_kept, 0u);
  EXPECT_EQ(FillOne(files, '1'), id);
  EXPECT_EQ(store_->Count().snapshots_kept, 1u);
  EXPECT_EQ(store_->Evict(id).error().code, Code::kFailedPrecondition);
  Reopen();
  EXPECT_TRUE(store_->Kept().empty()) << "it is not recorded: the configuration says it";
}

/// Against sums made the naive way: for each blob, whoever lists it.
TEST_F(KeepTest, HeldIsTheUnionOfWhatIsLeasedAndKept) {
  constexpr unsigned kModels = 5;
  std::vector<TestFiles> models;
  std::vector<std::string> ids;
  for (unsigned i = 0; i < kModels; ++i) {
    TestFiles files = Sized(fmt::format("own {}", i), i + 1);
    files.merge(Sized(fmt::format("of pair {}", i / 2), 2));
    files.merge(Sized("of all", 3));
    ids.push_back(FillOne(files, static_cast<char>('a' + i)));
    models.push_back(std::move(files));
  }
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::set<std::string> kept;
    std::map<std::string, Bytes> held;
    std::map<std::string, Bytes> all;
    for (unsigned i = 0; i < kModels; ++i) {
      bool keep = random() % 3 == 0;
      bool lease = random() % 3 == 0;
      if (keep) kept.insert(ids[i]);
      LeaseRecord record = LeaseOn(ids[i], fmt::format("pod {}", i));
      ASSERT_TRUE((lease ? store_->TakeLease(record) : store_->DropLease(record.id)).has_value());
      for (const auto& [path, content] : models[i]) {
        if (keep || lease) held[content] = content.size();
        all[content] = content.size();
      }
    }
    store_->SetKept(kept);
    auto sum = [](const std::map<std::string, Bytes>& blobs) {
      Bytes bytes = 0;
      for (const auto& [content, size] : blobs) bytes += size;
      return bytes;
    };
    auto space = store_->Space();
    ASSERT_EQ(space->held, sum(held));
    ASSERT_EQ(space->used, sum(all));
    ASSERT_EQ(space->evictable, sum(all) - sum(held));
    ASSERT_EQ(store_->Count().snapshots_kept, kept.size());
  }
}

/// Fourteen blocks of limit; the model's ingest has all of its ten.
class KeepStagedTest : public ResumeTest {
 protected:
  KeepStagedTest() {
    options_.limit = 14 * kBlock;
    StartAndRecord();
    Reopen();
    store_->SetKept({kModel.SnapshotId()});
  }
};

TEST_F(KeepStagedTest, WhatIsStagedOfAKeptModelStaysForIt) {
  EXPECT_EQ(store_->Space()->held, 10 * kBlock);
  EXPECT_EQ(store_->Space()->evictable, 0u);
  EXPECT_EQ(store_->Reserve(5 * kBlock, "other", {}).error().code, Code::kResourceExhausted);
  EXPECT_EQ(Left().size(), 3u);
  {
    auto own = store_->Reserve(kContent.size(), kModel.SnapshotId(), {id_});
    ASSERT_TRUE(own.has_value()) << own.error().message;
    EXPECT_EQ(store_->Space()->reserved, 10 * kBlock);
    EXPECT_EQ(store_->Space()->held, 0u) << "it is a part of the promise";
  }
  store_->SetKept({});
  EXPECT_TRUE(store_->Reserve(5 * kBlock, "other", {}).has_value());
  EXPECT_TRUE(Left().empty());
}

TEST_F(KeepStagedTest, WhatItsOwnFillHasNoUseForMakesRoomForIt) {
  const std::set<std::string> others = {
      Digest::Of("the same file, staged by another origin").Hex()};
  auto reservation = store_->Reserve(kContent.size(), kModel.SnapshotId(), others);
  ASSERT_TRUE(reservation.has_value()) << reservation.error().message;
  EXPECT_TRUE(Left().empty()) << "there is no room for the file twice";
}

}  // namespace
}  // namespace weighhouse::store
