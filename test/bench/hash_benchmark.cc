// The hash stage: what the queue adds to SHA-256 itself, and what several files gain from several
// threads.

#include <benchmark/benchmark.h>

#include <latch>
#include <vector>

#include "cache-daemon/fill/hash_queue.h"

namespace weighhouse::fill {
namespace {

constexpr size_t kPiece = 2 << 20;
constexpr size_t kPieces = 32;

/// `range(0)` files at once on `range(1)` threads, each of 64 MiB in pieces of a buffer.
void HashFiles(benchmark::State& state) {
  auto files = static_cast<size_t>(state.range(0));
  HashQueue queue(static_cast<size_t>(state.range(1)));
  std::vector<std::byte> bytes(kPiece * kPieces, std::byte{0x5A});
  for (auto _ : state) {
    std::latch done(static_cast<std::ptrdiff_t>(files * kPieces));
    std::vector<std::unique_ptr<HashStream>> streams;
    for (size_t i = 0; i < files; ++i) {
      streams.push_back(
          std::make_unique<HashStream>(queue, ContentClaims{.identity = {}, .size = bytes.size()}));
    }
    for (size_t piece = 0; piece < kPieces; ++piece) {
      for (auto& stream : streams) {
        stream->Add(std::span(bytes).subspan(piece * kPiece, kPiece),
                    [&done] { done.count_down(); });
      }
    }
    done.wait();
    for (auto& stream : streams) benchmark::DoNotOptimize(stream->Finish());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * files * bytes.size()));
}
BENCHMARK(HashFiles)
    ->Args({1, 1})
    ->Args({2, 2})
    ->Args({8, 2})
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace weighhouse::fill
