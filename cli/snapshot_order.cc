#include "cli/snapshot_order.h"

#include <algorithm>
#include <list>

#include "cli/snapshot_text.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;

int RankOf(pb::Snapshot::State state) {
  if (state == pb::Snapshot::FILLING) return 0;
  return state == pb::Snapshot::COMPLETE ? 2 : 1;
}

bool StandsBefore(const pb::Snapshot& a, const pb::Snapshot& b, SortBy by) {
  switch (by) {
    case SortBy::kUsed:
      return a.last_used_unix() > b.last_used_unix();
    case SortBy::kSize:
      return a.bytes() > b.bytes();
    case SortBy::kName:
      return ModelName(a) < ModelName(b);
    case SortBy::kState:
      return RankOf(a.state()) < RankOf(b.state());
  }
  return false;
}

}  // namespace

void Sort(pb::ListResponse& list, SortBy by, bool reverse) {
  auto& snapshots = *list.mutable_snapshots();
  // A list's order is stable as std::stable_sort's, which uses what C++17 deprecated.
  std::list<pb::Snapshot*> order(snapshots.pointer_begin(), snapshots.pointer_end());
  order.sort(
      [by](const pb::Snapshot* a, const pb::Snapshot* b) { return StandsBefore(*a, *b, by); });
  if (reverse) order.reverse();
  std::ranges::copy(order, snapshots.pointer_begin());
}

}  // namespace weighhouse::cli
