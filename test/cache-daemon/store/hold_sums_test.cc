// What holds keep, against the same counted the slow way, over random indexes.

#include <algorithm>
#include <map>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cache-daemon/store/index.h"
#include "cache-daemon/store/ingest_name.h"
#include "test/cache-daemon/store/store_fixture.h"

namespace weighhouse::store {
namespace {

/// An index at some moment of a busy life, and what was put into it.
struct World {
  Index index;
  std::vector<std::string> snapshots;
  std::mt19937 random;

  explicit World(unsigned seed) : random(seed) {
    for (int i = 0; i < 4; ++i) AddSnapshot(fmt::format("snapshot{}", i));
    for (const std::string& id : snapshots) {
      if (OneIn(4)) index.fill_holds[id] = 1;
      if (OneIn(4)) index.ledger.Promise(id, index.LackedBytes(id), index.LackedIngests(id));
    }
    std::set<std::string> ingests;
    for (const std::string& id : snapshots) ingests.merge(index.LackedIngests(id));
    for (const std::string& ingest : ingests) Stage(ingest);
    size_t holds = random() % 4;
    for (size_t i = 0; i < holds; ++i) AddHold(fmt::format("volume{}", i));
  }

  bool OneIn(unsigned count) { return random() % count == 0; }
  std::string AnySnapshot() { return snapshots[random() % snapshots.size()]; }

  /// Of files that other snapshots may have too, some of them here.
  void AddSnapshot(const std::string& id) {
    SnapshotRecord record;
    record.snapshot.id = id;
    record.snapshot.origin = "origin";
    record.snapshot.anonymous = true;
    for (unsigned number = 0; number < 6; ++number) {
      if (!OneIn(2)) continue;
      Digest content = Digest::Of(std::to_string(number));
      ListedFile listed{.path = std::to_string(number),
                        .size = (number + 1) * kBlock - 7,
                        .identity = {FileIdentity::Kind::kSha256, content.Hex()}};
      bool here = OneIn(2);
      if (here) {
        index.blobs.Pin(content, listed.size);
        if (!index.blobs.IsPresent(content)) index.blobs.MarkPresent(content);
      }
      record.snapshot.files.push_back(
          {.listed = listed, .blob = here ? std::optional(content) : std::nullopt});
      record.borrowed.push_back(false);
    }
    index.Insert(record);
    snapshots.push_back(id);
  }
  void Stage(const std::string& ingest) {
    Bytes allocated = kBlock;
    if (OneIn(3)) {
      index.idle_ingests.Add(ingest, ContentOf(ingest), allocated);
    } else if (OneIn(2)) {
      index.ledger.BeginIngest(ingest);
      index.ledger.SetIngestBytes(ingest, allocated);
    }
  }
  IngestContent ContentOf(const std::string& ingest) const {
    for (const auto& [id, entry] : index.catalog.entries()) {
      for (const SnapshotFile& file : entry.snapshot.files) {
        if (FreshIngestFor("origin", true, file.listed) == ingest)
          return {.identity = file.listed.identity, .size = file.listed.size};
      }
    }
    return {};
  }
  void AddHold(const std::string& volume) {
    HoldBook::Entry hold;
    hold.record.volume_id = volume;
    hold.record.bytes = (random() % 12) * kBlock;
    if (OneIn(2)) hold.record.snapshot_id = AnySnapshot();
    if (OneIn(4)) hold.arrived_for = AnySnapshot();
    index.holds.Put(VolumeKey(volume), hold);
  }
};

/// What the holds add to what is reserved, snapshot by snapshot and file by file.
Bytes NaiveReserved(const World& world) {
  Bytes sum = 0;
  std::map<std::string, Bytes> rooms;
  for (const auto& [id, hold] : world.index.holds.entries()) {
    std::string target = hold.arrived_for.empty() ? hold.record.snapshot_id : hold.arrived_for;
    if (target.empty()) {
      sum += hold.record.bytes;
      continue;
    }
    Bytes left = hold.record.bytes;
    bool all = target == hold.record.snapshot_id;
    Bytes lacked = 0;
    for (const SnapshotFile& file : world.index.catalog.Find(target)->snapshot.files) {
      Bytes blocks = (file.listed.size / kBlock + 1) * kBlock;
      if (!file.blob) {
        lacked += blocks;
      } else {
        left -= std::min(left, blocks);
      }
    }
    rooms[target] = std::max(rooms[target], all ? lacked : std::min(lacked, left));
  }
  for (const auto& [target, room] : rooms) {
    Bytes filling = world.index.ledger.UncoveredOf(target);
    sum += room > filling ? room - filling : 0;
  }
  return sum;
}

TEST(HoldSumsTest, AgreeWithTheNaiveCount) {
  size_t held = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    World world(seed);
    SpaceInputs sums = world.index.Sums("", {});
    ASSERT_EQ(sums.for_holds, NaiveReserved(world)) << "seed " << seed;
    ASSERT_EQ(sums.reserved, world.index.ledger.reserved() + sums.for_holds) << "seed " << seed;
    ASSERT_EQ(sums.used, sums.held + sums.evictable + sums.reserved - sums.unallocated)
        << "a byte on the disk counts twice, or not at all: seed " << seed;
    if (sums.for_holds > 0) ++held;
  }
  EXPECT_GT(held, 1000u);
}

TEST(HoldSumsTest, WhatIsHeldIsNoCandidate) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    World world(seed);
    for (const Candidate& candidate : world.index.Candidates("")) {
      ASSERT_FALSE(world.index.holds.HoldsSnapshot(candidate.id)) << "seed " << seed;
    }
    for (const Candidate& candidate : world.index.IngestCandidates("", {})) {
      ASSERT_FALSE(world.index.SumsOfHolds("", {}).ingests.contains(candidate.id))
          << "seed " << seed;
    }
  }
}

/// On a disk and with a limit that are just what was promised.
TEST(HoldSumsTest, AHeldModelsFillAlwaysFitsAndEvictsNothing) {
  size_t fills = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    World world(seed);
    Index& index = world.index;
    SpaceInputs before = index.Sums("", {});
    for (const auto& [id, hold] : index.holds.entries()) {
      const std::string& target = hold.target();
      if (!hold.whole() || index.ledger.HasClaim(target)) continue;
      Bytes need = index.LackedBytes(target);
      if (need == 0) continue;
      SpaceInputs inputs = index.Sums(target, index.LackedIngests(target));
      inputs.limit = before.used + before.unallocated;
      inputs.free = before.unallocated;
      auto fits = CheckFits(inputs, inputs.limit, need);
      ASSERT_TRUE(fits.has_value()) << fits.error().message << ", seed " << seed;
      ASSERT_EQ(Shortfall(inputs, need), 0u) << "seed " << seed;
      ++fills;
    }
  }
  EXPECT_GT(fills, 1000u);
}

}  // namespace
}  // namespace weighhouse::store
