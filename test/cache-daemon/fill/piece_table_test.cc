#include "cache-daemon/fill/piece_table.h"

#include <map>
#include <queue>
#include <set>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/fill/buffer_budget.h"

namespace weighhouse::fill {
namespace {

using Ranges = std::vector<ByteRange>;

TEST(WholePiecesTest, KeepsThePiecesThatLieWhollyInside) {
  EXPECT_EQ(WholePieces({}, 100, 10), Ranges{});
  EXPECT_EQ(WholePieces({{0, 100}}, 100, 10), (Ranges{{0, 100}}));
  EXPECT_EQ(WholePieces({{5, 38}}, 100, 10), (Ranges{{10, 30}}));
  EXPECT_EQ(WholePieces({{5, 14}, {21, 29}}, 100, 10), Ranges{});
  EXPECT_EQ(WholePieces({{5, 15}, {15, 20}, {40, 50}}, 100, 10), (Ranges{{10, 20}, {40, 50}}));
}

TEST(WholePiecesTest, CountsTheLastPieceAsWholeWhereItEndsWithTheFile) {
  EXPECT_EQ(WholePieces({{80, 95}}, 95, 10), (Ranges{{80, 95}}));
  EXPECT_EQ(WholePieces({{80, 94}}, 95, 10), (Ranges{{80, 90}}));
  EXPECT_EQ(WholePieces({{91, 95}}, 95, 10), Ranges{});
  EXPECT_EQ(WholePieces({{90, 100}}, 95, 10), (Ranges{{90, 95}})) << "staged files are padded";
  EXPECT_EQ(WholePieces({{100, 104}}, 95, 10), Ranges{});
}

TEST(GapsTest, AreWhatTheRangesLeave) {
  EXPECT_EQ(Gaps({}, 0), Ranges{});
  EXPECT_EQ(Gaps({}, 7), (Ranges{{0, 7}}));
  EXPECT_EQ(Gaps({{0, 7}}, 7), Ranges{});
  EXPECT_EQ(Gaps({{1, 2}, {4, 6}}, 7), (Ranges{{0, 1}, {2, 4}, {6, 7}}));
}

TEST(PieceTableTest, ReleasesOnlyWhatIsWrittenAndKeptFromTheHasherByAnEarlierPiece) {
  PieceTable table(3);
  for (size_t index : {0, 2}) table.Hold(index);
  table.Fill(2);
  EXPECT_FALSE(table.MayRelease(2)) << "it isn't written";
  table.Written(2);
  EXPECT_TRUE(table.MayRelease(2));
  table.Fill(0);
  EXPECT_EQ(table.TakeNextToHash(), 0U);
  table.Written(0);
  EXPECT_FALSE(table.MayRelease(0)) << "only the hasher is slow";
  EXPECT_TRUE(table.MayRelease(2)) << "piece 1 lacks";
}

TEST(PieceTableTest, ReadsBackInFileOrderAndNeverBeyondAPieceThatLacks) {
  PieceTable table(5);
  for (size_t index : {0, 1, 2, 4}) table.Resume(index);
  EXPECT_EQ(table.first_missing(), 3U);
  for (size_t index : {0, 1}) {
    EXPECT_EQ(table.NextToRead(), index);
    table.BeginRead(index);
  }
  EXPECT_EQ(table.NextToRead(), std::nullopt) << "two at once are enough";
  table.Read(1);
  EXPECT_EQ(table.TakeNextToHash(), std::nullopt) << "piece 0 comes first";
  table.Read(0);
  EXPECT_EQ(table.TakeNextToHash(), 0U);
  EXPECT_EQ(table.TakeNextToHash(), 1U);
  table.Hashed(0);
  EXPECT_TRUE(table.IsDone(0));
  EXPECT_EQ(table.NextToRead(), 2U);
  table.BeginRead(2);
  EXPECT_EQ(table.NextToRead(), std::nullopt) << "piece 3 lacks";
  table.Hashed(1);
  EXPECT_EQ(table.NextToRead(), std::nullopt) << "piece 3 still lacks";
}

/// A model of one file: its pieces, the buffers they hold, and what is under way.
struct ModelFile {
  explicit ModelFile(size_t count) : table(count), missing(AllBelow(count)) {}
  static std::set<size_t> AllBelow(size_t count) {
    std::set<size_t> all;
    for (size_t i = 0; i < count; ++i) all.insert(i);
    return all;
  }
  PieceTable table;
  std::set<size_t> missing, filling, writing, hashing, reading;
  std::map<size_t, BufferBudget::Kind> held;
  BufferBudget::Use use;
  auto Key() const { return std::tie(table, missing, filling, writing, hashing, reading, held); }
  bool operator<(const ModelFile& other) const { return Key() < other.Key(); }
};

/// The files of one pool, and every step that can come next.
struct Model {
  BufferBudget budget;
  size_t free_readers;
  bool releases_at_any_time;
  std::vector<ModelFile> files;
  bool operator<(const Model& other) const { return files < other.files; }

  bool Finished() const {
    return std::ranges::all_of(
        files, [](const ModelFile& file) { return file.table.AllDone() && file.held.empty(); });
  }

  void Hash(ModelFile& file) {
    while (auto index = file.table.TakeNextToHash()) file.hashing.insert(*index);
  }
  void EndPiece(ModelFile& file, size_t index) {
    if (!file.table.IsDone(index)) return;
    if (!GiveBack(file, index)) ++free_readers;
  }
  bool GiveBack(ModelFile& file, size_t index) {
    auto held = file.held.find(index);
    if (held == file.held.end()) return false;
    budget.GiveBack(file.use, held->second);
    file.held.erase(held);
    return true;
  }
  bool ReleaseFarthest(ModelFile& file) {
    for (auto held = file.held.rbegin(); held != file.held.rend(); ++held) {
      size_t index = held->first;
      if (!file.table.MayRelease(index)) continue;
      file.table.Release(index);
      return GiveBack(file, index);
    }
    return false;
  }
  /// As FileAssembly::MakeRoom.
  bool MakeRoom(ModelFile& file) {
    if (ReleaseFarthest(file)) return true;
    if (budget.HasItsPart(file.use, files.size())) return false;
    return std::ranges::any_of(files, [&](ModelFile& other) { return ReleaseFarthest(other); });
  }
  bool Take(ModelFile& file, size_t index) {
    bool head = index == file.table.first_missing();
    auto place = head ? BufferBudget::Place::kHead : BufferBudget::Place::kAhead;
    do {
      auto kind = budget.Take(file.use, place, files.size());
      if (kind == BufferBudget::Kind::kNone) continue;
      file.held[index] = kind;
      file.table.Hold(index);
      file.missing.erase(index);
      file.filling.insert(index);
      return true;
    } while (MakeRoom(file));
    return false;
  }

  std::vector<Model> Steps() const {
    std::vector<Model> next;
    for (size_t f = 0; f < files.size(); ++f) {
      auto step = [&](const std::set<size_t>& pieces, auto change) {
        for (size_t index : pieces) {
          Model after = *this;
          if (change(after, after.files[f], index)) next.push_back(std::move(after));
        }
      };
      const ModelFile& now = files[f];
      step(now.missing, [](Model& m, ModelFile& file, size_t i) { return m.Take(file, i); });
      step(now.filling, [](Model& m, ModelFile& file, size_t i) {
        file.table.Fill(i);
        file.filling.erase(i);
        file.writing.insert(i);
        m.Hash(file);
        return true;
      });
      step(now.writing, [](Model& m, ModelFile& file, size_t i) {
        file.table.Written(i);
        file.writing.erase(i);
        m.EndPiece(file, i);
        return true;
      });
      step(now.hashing, [](Model& m, ModelFile& file, size_t i) {
        file.table.Hashed(i);
        file.hashing.erase(i);
        m.EndPiece(file, i);
        return true;
      });
      step(now.reading, [](Model& m, ModelFile& file, size_t i) {
        file.table.Read(i);
        file.reading.erase(i);
        m.Hash(file);
        return true;
      });
      step({0}, [](Model& m, ModelFile& file, size_t) {
        auto index = file.table.NextToRead();
        if (!index || m.free_readers == 0) return false;
        --m.free_readers;
        file.table.BeginRead(*index);
        file.reading.insert(*index);
        return true;
      });
      step({0}, [](Model& m, ModelFile& file, size_t) {
        return m.releases_at_any_time && m.ReleaseFarthest(file);
      });
    }
    return next;
  }
};

/// Visits every state that `start` leads to. No step is ever undone (a piece only gets on), so that
/// without a state that is stuck every order of events ends with all files finished.
size_t CheckNeverStuck(const Model& start) {
  std::set<Model> seen = {start};
  std::queue<Model> todo({start});
  while (!todo.empty()) {
    Model state = std::move(todo.front());
    todo.pop();
    std::vector<Model> next = state.Steps();
    EXPECT_TRUE(state.Finished() || !next.empty()) << "deadlock";
    if (testing::Test::HasFailure()) break;
    for (Model& step : next) {
      if (seen.insert(step).second) todo.push(std::move(step));
    }
  }
  return seen.size();
}

TEST(PieceTableTest, TwoFilesNeverDeadlockOnBuffersOrReaders) {
  for (size_t total : {6, 7}) {
    Model start{.budget = BufferBudget(total, 2),
                .free_readers = 1,
                .releases_at_any_time = false,
                // With more to share, shorter files meet the same shortages.
                .files = {ModelFile(total == 6 ? 4 : 3), ModelFile(2)}};
    EXPECT_GT(CheckNeverStuck(start), 1000U) << total;
  }
}

TEST(PieceTableTest, AFileNeverDeadlocksWhateverIsReleased) {
  for (size_t readers : {1, 2, 3}) {
    Model start{.budget = BufferBudget(4, 1),
                .free_readers = readers,
                .releases_at_any_time = true,
                .files = {ModelFile(5)}};
    EXPECT_GT(CheckNeverStuck(start), 1000U) << readers;
  }
}

TEST(PieceTableTest, ReadersNeverDeadlockWhereAPieceBeforeThemIsReleased) {
  // Piece 2 can be in a reader's buffer when piece 1 loses its own and needs a reader's too.
  ModelFile file(3);
  for (size_t index : {0, 2}) {
    file.table.Resume(index);
    file.missing.erase(index);
  }
  for (size_t readers : {1, 2, 3}) {
    Model start{.budget = BufferBudget(6, 2),
                .free_readers = readers,
                .releases_at_any_time = true,
                .files = {file, file}};
    EXPECT_GT(CheckNeverStuck(start), 100U) << readers;
  }
}

TEST(PieceTableTest, AFileNeverDeadlocksWhateverItResumes) {
  constexpr size_t kCount = 5;
  for (unsigned resumed = 0; resumed < 1U << kCount; ++resumed) {
    ModelFile file(kCount);
    for (size_t index = 0; index < kCount; ++index) {
      if ((resumed >> index & 1U) == 0) continue;
      file.table.Resume(index);
      file.missing.erase(index);
    }
    Model start{.budget = BufferBudget(3, 1),
                .free_readers = 1,
                .releases_at_any_time = false,
                .files = {file}};
    EXPECT_GT(CheckNeverStuck(start), 5U) << resumed;
  }
}

}  // namespace
}  // namespace weighhouse::fill
