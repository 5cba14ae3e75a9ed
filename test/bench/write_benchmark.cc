// The write stage: the io_uring engine against the pwrite one, O_DIRECT into preallocated space,
// eight buffers at a time.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <semaphore>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "cache-daemon/io/buffer_pool.h"
#include "cache-daemon/io/io_engine.h"

namespace weighhouse::io {
namespace {

constexpr size_t kAtOnce = 8;
constexpr uint64_t kFileSize = 256 << 20;

/// A preallocated file without a name, in $TMPDIR.
UniqueFd TemporaryFile() {
  const char* directory = ::getenv("TMPDIR");
  UniqueFd file(::open(directory == nullptr ? "/var/tmp" : directory,
                       O_TMPFILE | O_WRONLY | O_DIRECT | O_CLOEXEC, 0600));
  if (file && ::fallocate(file.get(), 0, 0, kFileSize) != 0) file.reset();
  return file;
}

void WriteFile(benchmark::State& state, IoEngineChoice choice) {
  auto selection = SelectIoEngine(choice);
  auto pool = BufferPool::Create(kAtOnce);
  UniqueFd file = TemporaryFile();
  if (!selection || !pool || !file) return state.SkipWithError("no engine, memory or file here");
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < kAtOnce; ++i) buffers.push_back(*(*pool)->TryTake());
  for (auto _ : state) {
    std::counting_semaphore<kAtOnce> free(kAtOnce);
    for (uint64_t offset = 0; offset < kFileSize; offset += BufferPool::kBufferSize) {
      free.acquire();
      // Any buffer will do: what is written is not looked at.
      const Buffer& buffer = buffers[offset / BufferPool::kBufferSize % kAtOnce];
      selection->engine->Write(file.get(), offset, buffer.memory(),
                               [&free](int) { free.release(); });
    }
    for (size_t i = 0; i < kAtOnce; ++i) free.acquire();
    ::fdatasync(file.get());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kFileSize));
}
BENCHMARK_CAPTURE(WriteFile, io_uring, IoEngineChoice::kIoUring)
    ->UseRealTime()
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(WriteFile, pwrite, IoEngineChoice::kPwrite)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace weighhouse::io
