// What is held, counted from what changed since the last time, against the same counted anew, over
// random lives of an index.

#include <map>
#include <random>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cache-daemon/store/index.h"

namespace weighhouse::store {
namespace {

constexpr Bytes kBlock = 4096;
constexpr unsigned kSnapshots = 5;
constexpr unsigned kContents = 6;

std::string Name(unsigned number) { return fmt::format("snapshot{}", number); }
Digest Content(unsigned number) { return Digest::Of(std::to_string(number)); }

class Life {
 public:
  explicit Life(unsigned seed) : random_(seed) {}

  Index& index() { return index_; }
  unsigned Any(unsigned count) { return static_cast<unsigned>(random_() % count); }
  std::string AnySnapshot() { return Name(Any(kSnapshots)); }

  /// Something happens.
  void GoOn() {
    std::string id = AnySnapshot();
    const SnapshotEntry* known = index_.catalog.Find(id);
    switch (Any(10)) {
      case 0:
        return known == nullptr ? index_.Insert(Record(id)) : index_.Erase(id);
      case 1:
        return known == nullptr ? index_.Insert(Record(id)) : index_.Replace(Record(id));
      case 2:
        return known == nullptr ? void() : Deliver(id);
      case 3:
        return Lease(id);
      case 4:
        return Hold(id);
      case 5:
        return Toggle(index_.kept, id);
      case 6:
        return Fill(id);
      case 7:
        return Promise(id);
      case 8:
        return index_.ledger.Cover(id, Content(Any(kContents)), kBlock);
      default:
        return Leave(Content(Any(kContents)));
    }
  }

 private:
  SnapshotRecord Record(const std::string& id) {
    SnapshotRecord record;
    record.snapshot.id = id;
    record.snapshot.origin = "origin";
    for (unsigned number = 0; number < kContents; ++number) {
      if (Any(2) == 0) continue;
      ListedFile listed{
          .path = std::to_string(number),
          .size = (number + 1) * kBlock,
          .identity = Any(2) == 0 ? FileIdentity{FileIdentity::Kind::kSha256, Content(number).Hex()}
                                  : FileIdentity{FileIdentity::Kind::kVersionToken, "v"}};
      bool here = index_.blobs.IsPresent(Content(number));
      record.snapshot.files.push_back(
          {.listed = listed, .blob = here ? std::optional(Content(number)) : std::nullopt});
      record.borrowed.push_back(false);
    }
    return record;
  }

  void Deliver(const std::string& id) {
    const Snapshot& snapshot = index_.catalog.Find(id)->snapshot;
    if (snapshot.files.empty()) return;
    ListedFile file = snapshot.files[Any(static_cast<unsigned>(snapshot.files.size()))].listed;
    Digest content = Content(static_cast<unsigned>(file.size / kBlock - 1));
    if (index_.blobs.IsLeaving(content)) return;
    index_.blobs.Pin(content, file.size);
    index_.blobs.MarkPresent(content);
    index_.Deliver(id, {.identity = file.identity, .size = file.size, .sha256 = content});
    index_.blobs.Unpin(content);
  }

  void Lease(const std::string& id) {
    std::string lease = fmt::format("lease{}", Any(3));
    if (index_.leases.Find(lease) != nullptr) return index_.leases.Remove(lease);
    index_.leases.Put({.id = lease, .snapshot_id = id});
  }

  void Hold(const std::string& id) {
    std::string key = fmt::format("hold{}", Any(3));
    if (index_.holds.Find(key) != nullptr) return index_.holds.Remove(key);
    HoldBook::Entry hold;
    hold.record.snapshot_id = id;
    index_.holds.Put(key, hold);
  }

  void Toggle(std::set<std::string>& names, const std::string& id) {
    if (names.erase(id) == 0) names.insert(id);
  }

  void Fill(const std::string& id) {
    if (index_.fill_holds.erase(id) == 0) index_.fill_holds[id] = 1;
  }

  void Promise(const std::string& id) {
    if (!claims_.empty() && Any(2) == 0) {
      index_.ledger.Release(claims_.back());
      return claims_.pop_back();
    }
    claims_.push_back(index_.ledger.Promise(id, 2 * kBlock, {}));
  }

  void Leave(const Digest& content) {
    if (index_.blobs.IsLeaving(content)) {
      return Any(2) == 0 ? index_.blobs.MarkStayed(content) : Gone(content);
    }
    if (index_.blobs.IsPresent(content)) index_.blobs.BeginLeaving(content);
  }

  void Gone(const Digest& content) {
    index_.ledger.Uncover(content);
    index_.blobs.MarkAbsent(content);
  }

  std::mt19937 random_;
  Index index_;
  std::vector<uint64_t> claims_;
};

Bytes NaiveHeld(const Index& index, const std::string& except) {
  std::set<Digest> held;
  Bytes bytes = 0;
  for (const auto& [id, entry] : index.catalog.entries()) {
    if (id != except && index.IsIdle(id)) continue;
    for (const auto& [sha256, size] : ListedBlobs(entry.snapshot)) {
      bool counts = index.blobs.IsPresent(sha256) && !index.ledger.IsCovered(sha256);
      if (counts && held.insert(sha256).second) bytes += index.blobs.SizeOf(sha256);
    }
  }
  return bytes;
}

TEST(HeldSumsTest, AgreeWithTheNaiveCountWhateverHappenedBetween) {
  size_t held = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    Life life(seed);
    for (int step = 0; step < 300; ++step) {
      life.GoOn();
      if (life.Any(3) != 0) continue;
      std::string except = life.Any(2) == 0 ? "" : life.AnySnapshot();
      ASSERT_EQ(life.index().Sums(except, {}).held, NaiveHeld(life.index(), except))
          << "seed " << seed << ", step " << step;
      if (life.index().Sums("", {}).held > 0) ++held;
    }
  }
  EXPECT_GT(held, 1000u);
}

}  // namespace
}  // namespace weighhouse::store
