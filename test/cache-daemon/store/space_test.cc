#include "cache-daemon/store/space.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "cache-daemon/store/ledger.h"

namespace weighhouse::store {
namespace {

constexpr Bytes kMany = 100 * kGiB;

TEST(AvailableTest, IsWhatTheLimitLeavesBesideHeldAndReserved) {
  SpaceInputs inputs{
      .limit = 50, .used = 45, .held = 20, .reserved = 10, .evictable = 15, .free = kMany};
  EXPECT_EQ(Available(inputs), 20u);
}

TEST(AvailableTest, IsWhatTheDiskGivesAfterEvictionAndWhatIsPromised) {
  SpaceInputs inputs{.limit = kMany,
                     .reserved = 10,
                     .unallocated = 7,
                     .evictable = 30,
                     .free = 25,
                     .min_free = 20};
  EXPECT_EQ(Available(inputs), 25u + 30 - 20 - 7);
}

TEST(AvailableTest, IsNeverNegative) {
  EXPECT_EQ(Available({.limit = 10, .held = 20, .free = kMany}), 0u);
  EXPECT_EQ(Available({.limit = kMany, .free = 10, .min_free = 20}), 0u);
}

TEST(ShortfallTest, IsNothingWhereItFitsAsItIs) {
  EXPECT_EQ(Shortfall({.limit = 100, .used = 40, .unallocated = 10, .free = kMany}, 50), 0u);
  EXPECT_EQ(Shortfall({.limit = 100, .used = 40, .unallocated = 10, .free = kMany}, 51), 1u);
  EXPECT_EQ(Shortfall({.limit = kMany, .unallocated = 10, .free = 50, .min_free = 20}, 25), 5u);
}

TEST(ShortfallTest, CountsWhatTheFillResumesAsAllocated) {
  SpaceInputs inputs{
      .limit = 100, .used = 60, .evictable = 60, .resumable = 50, .free = 40, .min_free = 0};
  EXPECT_EQ(Shortfall(inputs, 90), 0u);
  EXPECT_EQ(Shortfall(inputs, 100), 10u) << "the other 10 that are evictable";
  EXPECT_EQ(Shortfall(inputs, 20), 0u);
}

TEST(CheckFitsTest, TellsNeverFromNotNow) {
  SpaceInputs inputs{.limit = 50 * kGiB, .held = 40 * kGiB, .reserved = 2 * kGiB, .free = kMany};
  auto never = CheckFits(inputs, 2 * kMany, 51 * kGiB);
  ASSERT_FALSE(never.has_value());
  EXPECT_EQ(never.error().code, Code::kOutOfRange);
  EXPECT_TRUE(never.error().message.contains("need 51.0 GiB")) << never.error().message;
  EXPECT_TRUE(never.error().message.contains("limit is 50.0 GiB")) << never.error().message;
  auto not_now = CheckFits(inputs, 2 * kMany, 15 * kGiB);
  ASSERT_FALSE(not_now.has_value());
  EXPECT_EQ(not_now.error().code, Code::kResourceExhausted);
  for (const char* part : {"need 15.0 GiB; limit 50.0 GiB", "held by pods or kept 40.0 GiB",
                           "reserved 2.0 GiB", "free on disk 100.0 GiB"}) {
    EXPECT_TRUE(not_now.error().message.contains(part)) << not_now.error().message;
  }
  EXPECT_TRUE(CheckFits(inputs, 2 * kMany, 8 * kGiB).has_value());
}

TEST(CheckFitsTest, LargerThanTheDiskCanNeverFit) {
  SpaceInputs inputs{.limit = kMany, .free = 5 * kGiB, .min_free = 2 * kGiB};
  EXPECT_EQ(CheckFits(inputs, 10 * kGiB, 9 * kGiB).error().code, Code::kOutOfRange);
  EXPECT_EQ(CheckFits(inputs, 10 * kGiB, 8 * kGiB).error().code, Code::kResourceExhausted);
}

Candidate One(const std::string& id, std::vector<Candidate::Share> shares, Bytes own = 0) {
  return {.id = id, .shares = std::move(shares), .own = own};
}
Candidate::Share Blob(const std::string& name, Bytes size, size_t users = 1) {
  return {.sha256 = Digest::Of(name), .size = size, .users = users};
}
using Ids = std::vector<std::string>;

TEST(ChooseVictimsTest, TakesTheLeastRecentlyUsedAsFarAsNeeded) {
  std::vector<Candidate> candidates = {One("old", {Blob("1", 10)}), One("mid", {Blob("2", 10)}),
                                       One("new", {Blob("3", 10)})};
  EXPECT_EQ(ChooseVictims(candidates, 0), Ids{});
  EXPECT_EQ(ChooseVictims(candidates, 10), Ids{"old"});
  EXPECT_EQ(ChooseVictims(candidates, 11), (Ids{"old", "mid"}));
  EXPECT_EQ(ChooseVictims(candidates, 30), (Ids{"old", "mid", "new"}));
  EXPECT_EQ(ChooseVictims(candidates, 31), std::nullopt);
}

TEST(ChooseVictimsTest, SparesThoseThatTheOthersMakeNeedless) {
  std::vector<Candidate> candidates = {One("small", {Blob("1", 1)}), One("tiny", {Blob("2", 2)}),
                                       One("large", {Blob("3", 100)})};
  EXPECT_EQ(ChooseVictims(candidates, 50), Ids{"large"});
}

TEST(ChooseVictimsTest, SharedBlobIsFreedWithTheLastThatListsIt) {
  std::vector<Candidate> candidates = {One("a", {Blob("shared", 10, 2)}),
                                       One("b", {Blob("shared", 10, 2)})};
  EXPECT_EQ(ChooseVictims(candidates, 10), (Ids{"a", "b"}));
  std::vector<Candidate> held_elsewhere = {One("a", {Blob("shared", 10, 2)})};
  EXPECT_EQ(ChooseVictims(held_elsewhere, 1), std::nullopt);
}

TEST(ChooseVictimsTest, CountsWhatATreeCopied) {
  std::vector<Candidate> candidates = {One("a", {Blob("1", 10, 2)}, 5)};
  EXPECT_EQ(ChooseVictims(candidates, 5), Ids{"a"});
}

/// What evicting `ids` frees, counted from nothing each time.
Bytes NaiveFreed(const std::vector<Candidate>& candidates, const std::set<std::string>& ids) {
  Bytes freed = 0;
  std::map<Digest, std::pair<size_t, Candidate::Share>> evicted_users;
  for (const Candidate& candidate : candidates) {
    if (!ids.contains(candidate.id)) continue;
    freed += candidate.own;
    for (const Candidate::Share& share : candidate.shares) {
      auto& entry = evicted_users[share.sha256];
      ++entry.first;
      entry.second = share;
    }
  }
  for (const auto& [sha256, entry] : evicted_users) {
    if (entry.first == entry.second.users) freed += entry.second.size;
  }
  return freed;
}

/// The same choice, made the slow way.
std::optional<Ids> NaiveVictims(const std::vector<Candidate>& candidates, Bytes bytes) {
  std::set<std::string> chosen;
  size_t count = 0;
  while (NaiveFreed(candidates, chosen) < bytes) {
    if (count == candidates.size()) return std::nullopt;
    chosen.insert(candidates[count++].id);
  }
  for (size_t i = count; i-- > 0;) {
    std::set<std::string> fewer = chosen;
    fewer.erase(candidates[i].id);
    if (NaiveFreed(candidates, fewer) >= bytes) chosen = fewer;
  }
  Ids victims;
  for (const Candidate& candidate : candidates) {
    if (chosen.contains(candidate.id)) victims.push_back(candidate.id);
  }
  return victims;
}

std::vector<Candidate> RandomCandidates(std::mt19937& random) {
  size_t count = random() % 8;
  std::vector<Candidate::Share> pool;
  for (int i = 0; i < 6; ++i) pool.push_back(Blob(std::to_string(i), random() % 40, random() % 2));
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < count; ++i) {
    Candidate candidate = One(std::to_string(i), {}, random() % 5 == 0 ? random() % 10 : 0);
    for (Candidate::Share& share : pool) {
      if (random() % 3 != 0) continue;
      ++share.users;
      candidate.shares.push_back(share);
    }
    candidates.push_back(candidate);
  }
  for (Candidate& candidate : candidates) {
    for (Candidate::Share& share : candidate.shares) {
      share.users = std::ranges::find(pool, share.sha256, &Candidate::Share::sha256)->users;
    }
  }
  return candidates;
}

TEST(ChooseVictimsTest, AgreesWithTheNaiveChoice) {
  std::mt19937 random(20261123);
  for (int round = 0; round < 20000; ++round) {
    std::vector<Candidate> candidates = RandomCandidates(random);
    Bytes bytes = random() % 120;
    auto victims = ChooseVictims(candidates, bytes);
    ASSERT_EQ(victims, NaiveVictims(candidates, bytes)) << "round " << round;
    if (!victims) continue;
    std::set<std::string> all(victims->begin(), victims->end());
    for (const std::string& id : *victims) {
      std::set<std::string> fewer = all;
      fewer.erase(id);
      ASSERT_LT(NaiveFreed(candidates, fewer), bytes) << "evicted needlessly in round " << round;
    }
  }
}

TEST(AvailableTest, AgreesWithSignedArithmetic) {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    auto number = [&] { return Bytes{random() % 1000}; };
    SpaceInputs in{.limit = number(),
                   .held = number(),
                   .reserved = number(),
                   .unallocated = number(),
                   .evictable = number(),
                   .free = number(),
                   .min_free = number()};
    in.resumable = number() % (in.evictable + 1);
    auto s = [](Bytes bytes) { return static_cast<int64_t>(bytes); };
    int64_t by_limit = s(in.limit) - s(in.held) - s(in.reserved);
    int64_t by_disk = s(in.free) - s(in.min_free) + s(in.evictable) - s(in.unallocated);
    ASSERT_EQ(s(Available(in)), std::max<int64_t>(0, std::min(by_limit, by_disk)));
    // What is available can be had by evicting no more than what is evictable.
    in.used = in.held + in.evictable + in.reserved - std::min(in.reserved, in.unallocated);
    in.unallocated = std::min(in.reserved, in.unallocated);
    Bytes need = Available(in);
    if (need == 0) continue;
    ASSERT_LE(Shortfall(in, need), in.evictable);
    if (need < in.resumable) continue;
    // And then what the fill resumes is not among it, and both sums hold once it is promised.
    Bytes evicted = Shortfall(in, need);
    ASSERT_LE(evicted, in.evictable - in.resumable);
    Bytes unallocated = in.unallocated + need - in.resumable;
    ASSERT_LE(in.used - evicted + unallocated, in.limit);
    ASSERT_LE(in.min_free + unallocated, in.free + evicted);
  }
}

TEST(LedgerTest, PromiseIsUnallocatedUntilIngestsAndCommitsUseIt) {
  Ledger ledger;
  uint64_t claim = ledger.Promise("s", 100, {});
  EXPECT_EQ(ledger.Unallocated(0, 0), 100u);
  ASSERT_TRUE(ledger.BeginIngest("i"));
  EXPECT_FALSE(ledger.BeginIngest("i"));
  ledger.SetIngestBytes("i", 40);
  EXPECT_EQ(ledger.Unallocated(0, 0), 60u);
  ledger.SetIngestBytes("i", 0);
  ledger.Cover("s", Digest::Of("1"), 40);
  ledger.Cover("s", Digest::Of("1"), 40);
  EXPECT_EQ(ledger.Unallocated(0, 0), 60u);
  EXPECT_EQ(ledger.covered(), 40u);
  ledger.Cover("s", Digest::Of("too large"), 61);
  EXPECT_FALSE(ledger.IsCovered(Digest::Of("too large")));
  ledger.Uncover(Digest::Of("1"));
  EXPECT_EQ(ledger.covered(), 0u);
  ledger.EndIngest("i");
  ledger.Release(claim);
  EXPECT_EQ(ledger.reserved(), 0u);
  EXPECT_FALSE(ledger.HasClaim("s"));
}

TEST(LedgerTest, IngestsBeyondThePromisesAreCountedApart) {
  Ledger ledger;
  ledger.BeginIngest("i");
  ledger.SetIngestBytes("i", 30);
  EXPECT_EQ(ledger.Unpromised(0, 0), 30u);
  ledger.Promise("s", 20, {});
  EXPECT_EQ(ledger.Unpromised(0, 0), 10u);
  EXPECT_EQ(ledger.Unallocated(0, 0), 0u);
  EXPECT_EQ(ledger.Unpromised(5, 0), 15u);
  ledger.Promise("t", 30, {});
  EXPECT_EQ(ledger.Unallocated(0, 0), 20u);
  EXPECT_EQ(ledger.Unallocated(5, 0), 15u) << "an ingest that waits for its fill is allocated";
  ledger.SetQuarantined(Digest::Of("q"), 8);
  EXPECT_EQ(ledger.quarantined(), 8u);
}

}  // namespace
}  // namespace weighhouse::store
