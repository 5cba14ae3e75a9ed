#include "cache-daemon/fill/buffer_budget.h"

#include <deque>
#include <map>
#include <queue>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

TEST(BufferBudgetTest, GivesTheHeadItsGuaranteedBuffersWhenAllOthersAreOut) {
  BufferBudget budget(6, 2);
  BufferBudget::Use greedy;
  BufferBudget::Use late;
  EXPECT_EQ(budget.Take(greedy, BufferBudget::Place::kAhead, 1), BufferBudget::Kind::kShared);
  EXPECT_EQ(budget.Take(greedy, BufferBudget::Place::kAhead, 1), BufferBudget::Kind::kShared);
  EXPECT_EQ(budget.Take(greedy, BufferBudget::Place::kAhead, 1), BufferBudget::Kind::kNone);
  EXPECT_EQ(budget.Take(late, BufferBudget::Place::kAhead, 2), BufferBudget::Kind::kNone);
  EXPECT_EQ(budget.Take(late, BufferBudget::Place::kHead, 2), BufferBudget::Kind::kGuaranteed);
  EXPECT_EQ(budget.Take(late, BufferBudget::Place::kHead, 2), BufferBudget::Kind::kGuaranteed);
  EXPECT_EQ(budget.Take(late, BufferBudget::Place::kHead, 2), BufferBudget::Kind::kNone);
}

TEST(BufferBudgetTest, GivesOneFileNoMoreThanItsPartWhileOthersAreActive) {
  BufferBudget budget(10, 2);
  BufferBudget::Use first;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(budget.Take(first, BufferBudget::Place::kAhead, 2), BufferBudget::Kind::kShared);
  }
  EXPECT_EQ(budget.Take(first, BufferBudget::Place::kAhead, 2), BufferBudget::Kind::kNone);
  EXPECT_EQ(budget.Take(first, BufferBudget::Place::kAhead, 1), BufferBudget::Kind::kShared);
}

/// A model of one file: which piece is the head, which pieces hold a buffer (and of which kind),
/// which are full.
struct ModelFile {
  static constexpr int kPieces = 4;
  BufferBudget::Use use;
  int head = 0;                                             // lowest piece that isn't full
  std::map<int, std::pair<BufferBudget::Kind, bool>> held;  // piece → kind, full
  auto operator<=>(const ModelFile& other) const {
    return std::tuple(head, held) <=> std::tuple(other.head, other.held);
  }
  bool operator==(const ModelFile& other) const { return head == other.head && held == other.held; }
};

struct ModelState {
  BufferBudget budget;
  std::vector<ModelFile> files;
  bool operator<(const ModelState& other) const { return files < other.files; }
};

/// Every state that one step leads to: a piece takes a buffer, a held piece becomes full, a full
/// piece before the head (written and hashed) gives its buffer back.
std::vector<ModelState> Steps(const ModelState& state) {
  std::vector<ModelState> next;
  for (size_t f = 0; f < state.files.size(); ++f) {
    for (int piece = 0; piece < ModelFile::kPieces; ++piece) {
      const ModelFile& file = state.files[f];
      auto held = file.held.find(piece);
      ModelState after = state;
      ModelFile& changed = after.files[f];
      if (held == file.held.end()) {
        if (piece < file.head) continue;
        auto place = piece == file.head ? BufferBudget::Place::kHead : BufferBudget::Place::kAhead;
        auto kind = after.budget.Take(changed.use, place, state.files.size());
        if (kind == BufferBudget::Kind::kNone) continue;
        changed.held[piece] = {kind, false};
      } else if (!held->second.second) {
        changed.held[piece].second = true;
        while (changed.held.contains(changed.head) && changed.held[changed.head].second) {
          ++changed.head;
        }
      } else if (piece < file.head) {
        after.budget.GiveBack(changed.use, held->second.first);
        changed.held.erase(piece);
      } else {
        continue;
      }
      next.push_back(std::move(after));
    }
  }
  return next;
}

TEST(BufferBudgetTest, NeverDeadlocksInAnyOrderOfEvents) {
  // Exhaustive: every reachable state of two files of four pieces over the smallest legal pool and
  // the next sizes.
  for (size_t total = 6; total <= 8; ++total) {
    std::set<ModelState> seen;
    std::queue<ModelState> todo;
    ModelState start{.budget = BufferBudget(total, 2), .files = std::vector<ModelFile>(2)};
    seen.insert(start);
    todo.push(start);
    while (!todo.empty()) {
      ModelState state = std::move(todo.front());
      todo.pop();
      bool finished = true;
      size_t out = 0;
      for (const ModelFile& file : state.files) {
        finished = finished && file.head == ModelFile::kPieces && file.held.empty();
        out += file.held.size();
      }
      ASSERT_LE(out, total);
      std::vector<ModelState> next = Steps(state);
      ASSERT_TRUE(finished || !next.empty()) << "deadlock with " << total << " buffers";
      for (ModelState& step : next) {
        if (seen.insert(step).second) todo.push(std::move(step));
      }
    }
    EXPECT_GT(seen.size(), 1000U);
  }
}

}  // namespace
}  // namespace weighhouse::fill
