// The window's bookkeeping: what a piece of a file costs between network, disk and hasher, without
// any of the three.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "cache-daemon/fill/piece_table.h"
#include "cache-daemon/io/buffer_pool.h"

namespace weighhouse::fill {
namespace {

constexpr size_t kPieces = 2048;  // 4 GiB
constexpr size_t kWindow = 48;

/// Pieces become whole in an order shuffled within the window, as on several connections.
std::vector<size_t> ArrivalOrder() {
  std::vector<size_t> order(kPieces);
  std::iota(order.begin(), order.end(), size_t{0});
  std::mt19937 random(1);
  for (size_t begin = 0; begin < kPieces; begin += kWindow) {
    std::shuffle(order.begin() + static_cast<std::ptrdiff_t>(begin),
                 order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + kWindow, kPieces)),
                 random);
  }
  return order;
}

void PieceTableOfAFile(benchmark::State& state) {
  std::vector<size_t> order = ArrivalOrder();
  for (auto _ : state) {
    PieceTable table(kPieces);
    for (size_t index : order) {
      table.Hold(index);
      table.Fill(index);
      table.Written(index);
      while (auto next = table.TakeNextToHash()) table.Hashed(*next);
    }
    if (!table.AllDone()) state.SkipWithError("the table is not done");
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kPieces));
}
BENCHMARK(PieceTableOfAFile);

void BufferTakenAndGivenBack(benchmark::State& state) {
  auto pool = io::BufferPool::Create(kWindow);
  for (auto _ : state) benchmark::DoNotOptimize((*pool)->TryTake());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BufferTakenAndGivenBack);

}  // namespace
}  // namespace weighhouse::fill
