// What every IoEngine promises of writing, and of its threads.

#include "test/cache-daemon/io/io_engine_contract.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "cache-daemon/io/buffer_pool.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/io/pwrite_engine.h"
#include "cache-daemon/io/ring.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

std::unique_ptr<IoEngine> MakeRing(RingEngine::Setup setup) {
  auto ring = RingEngine::Create(setup);
  if (!ring) return nullptr;
  return std::move(*ring);
}

TEST_P(IoEngineContract, WritesEveryByteWhereItBelongs) {
  const std::string content = PatternBytes(3 * kMiB + 12345, 1);
  OpenedFile file = NewFile("data");
  std::vector<size_t> offsets;
  constexpr size_t kPiece = 10007;  // unaligned on purpose
  for (size_t offset = 0; offset < content.size(); offset += kPiece) offsets.push_back(offset);
  std::ranges::shuffle(offsets, std::mt19937(7));
  Tally tally;
  for (size_t offset : offsets) {
    std::string_view piece = std::string_view(content).substr(offset, kPiece);
    engine_->Write(file.fd.get(), offset, BytesOf(piece), tally.Expect());
  }
  EXPECT_THAT(tally.Wait(), testing::Each(0));
  EXPECT_EQ(Content("data"), content);
}

TEST_P(IoEngineContract, TakesManyWritesFromSeveralThreads) {
  constexpr size_t kThreads = 4;
  constexpr size_t kWrites = 300;
  constexpr size_t kSize = 4096;
  const std::string content = PatternBytes(kThreads * kWrites * kSize, 2);
  OpenedFile file = NewFile("data");
  Tally tally;
  {
    std::vector<std::jthread> threads;
    for (size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (size_t i = 0; i < kWrites; ++i) {
          size_t offset = (i * kThreads + thread) * kSize;
          engine_->Write(file.fd.get(), offset, BytesOf(content).subspan(offset, kSize),
                         tally.Expect());
        }
      });
    }
  }
  std::vector<int> errors = tally.Wait();
  EXPECT_EQ(errors.size(), kThreads * kWrites);
  EXPECT_THAT(errors, testing::Each(0));
  EXPECT_EQ(Content("data"), content);
}

TEST_P(IoEngineContract, WritesPastFourGibibytes) {
  OpenedFile file = NewFile("sparse");
  constexpr uint64_t kOffset = (uint64_t{5} << 30) + 4096;
  ASSERT_EQ(WriteAndWait(file.fd.get(), kOffset, BytesOf("far")), 0);
  std::array<char, 3> read{};
  ASSERT_EQ(::pread(file.fd.get(), read.data(), read.size(), static_cast<off_t>(kOffset)), 3);
  EXPECT_EQ(std::string_view(read.data(), 3), "far");
}

// ThreadSanitizer notes every byte that pwrite(2) reads, and five gibibytes of notes don't fit.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIGHHOUSE_NOTES_EVERY_BYTE
#endif
#endif

TEST_P(IoEngineContract, ContinuesWhatTheKernelTakesInPieces) {
#ifdef WEIGHHOUSE_NOTES_EVERY_BYTE
  if (engine_->Name() == "pwrite") GTEST_SKIP() << "not under ThreadSanitizer";
#endif
  // write(2) takes less than 2 GiB at once, and /dev/null takes them without looking: nobody
  // touches this memory.
  constexpr size_t kSize = size_t{5} << 30;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* memory = ::mmap(nullptr, kSize, PROT_READ, flags, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(WriteAndWait(null.get(), 0, {static_cast<const std::byte*>(memory), kSize}), 0);
  ::munmap(memory, kSize);
}

TEST_P(IoEngineContract, WritingNothingSucceeds) {
  OpenedFile file = NewFile("data");
  EXPECT_EQ(WriteAndWait(file.fd.get(), 10, {}), 0);
  EXPECT_EQ(Content("data"), "");
}

TEST_P(IoEngineContract, ReportsABadDescriptor) {
  EXPECT_EQ(WriteAndWait(-1, 0, BytesOf("x")), EBADF);
  WriteTestFile(directory_ / "data", "old");
  std::string path = (directory_ / "data").string();
  OpenedFile file = std::move(filesystem_.OpenForRead(path, IoMode::kBuffered).value());
  EXPECT_EQ(WriteAndWait(file.fd.get(), 0, BytesOf("x")), EBADF);
  EXPECT_EQ(Content("data"), "old");
}

TEST_P(IoEngineContract, ReportsAFullDisk) {
  UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(static_cast<bool>(full));
  EXPECT_EQ(WriteAndWait(full.get(), 0, BytesOf("x")), ENOSPC);
}

/// For its lifetime no file of this process may grow past `bytes`.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limited = {.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_P(IoEngineContract, ReportsTheErrorThatEndsAShortWrite) {
  OpenedFile file = NewFile("data");
  const std::string content = PatternBytes(10000, 3);
  int error_number = 0;
  {
    FileSizeLimit limit(6000);
    error_number = WriteAndWait(file.fd.get(), 0, BytesOf(content));
  }
  EXPECT_EQ(error_number, EFBIG);
  EXPECT_EQ(Content("data"), content.substr(0, 6000));
}

TEST_P(IoEngineContract, OneFailureSparesTheOthers) {
  OpenedFile file = NewFile("data");
  Tally good;
  Tally bad;
  for (size_t i = 0; i < 200; ++i) {
    engine_->Write(file.fd.get(), i, BytesOf("x"), good.Expect());
    engine_->Write(-1, i, BytesOf("x"), bad.Expect());
  }
  EXPECT_THAT(good.Wait(), testing::Each(0));
  EXPECT_THAT(bad.Wait(), testing::Each(EBADF));
  EXPECT_EQ(Content("data"), std::string(200, 'x'));
}

TEST_P(IoEngineContract, WritesDirectlyFromThePool) {
  constexpr size_t kBuffers = 4;
  auto pool = std::move(BufferPool::Create(kBuffers).value());
  OpenedFile file = NewFile("data", IoMode::kDirect);
  Bytes size = kBuffers * pool->buffer_size();
  ASSERT_TRUE(filesystem_.Allocate(file.fd.get(), size, "data").has_value());
  const std::string content = PatternBytes(size, 4);
  std::vector<Buffer> buffers;
  Tally tally;
  for (size_t i = 0; i < kBuffers; ++i) {
    buffers.push_back(std::move(pool->TryTake().value()));
    std::span<std::byte> memory = buffers.back().memory();
    std::memcpy(memory.data(), content.data() + i * memory.size(), memory.size());
    engine_->Write(file.fd.get(), i * memory.size(), memory, tally.Expect());
  }
  EXPECT_THAT(tally.Wait(), testing::Each(0));
  EXPECT_EQ(Content("data"), content);
}

TEST_P(IoEngineContract, ReportsAMisalignedDirectWrite) {
  OpenedFile file = NewFile("data", IoMode::kDirect);
  if (file.mode != IoMode::kDirect) GTEST_SKIP() << "no O_DIRECT below TMPDIR";
  auto pool = std::move(BufferPool::Create(1).value());
  Buffer buffer = std::move(pool->TryTake().value());
  int error_number = WriteAndWait(file.fd.get(), 0, buffer.memory().subspan(1, 100));
  EXPECT_THAT(error_number,
              testing::AnyOf(EINVAL, 0));  // some filesystems mend it through the page cache
}

TEST_P(IoEngineContract, CallsBackOnItsOwnNamedThread) {
  OpenedFile file = NewFile("data");
  std::promise<std::string> name;
  std::thread::id caller = std::this_thread::get_id();
  engine_->Write(file.fd.get(), 0, BytesOf("x"), [&](int) {
    std::array<char, 16> buffer{};
    ::pthread_getname_np(::pthread_self(), buffer.data(), buffer.size());
    EXPECT_NE(std::this_thread::get_id(), caller);
    name.set_value(buffer.data());
  });
  EXPECT_THAT(name.get_future().get(), testing::StartsWith(GetParam().thread_prefix));
}

TEST_P(IoEngineContract, AFinishedWriteMayQueueTheNext) {
  OpenedFile file = NewFile("data");
  constexpr size_t kWrites = 500;
  std::promise<void> finished;
  std::function<void(size_t)> write = [&](size_t i) {
    engine_->Write(file.fd.get(), i, BytesOf("x"), [&, i](int error_number) {
      EXPECT_EQ(error_number, 0);
      if (i + 1 == kWrites) return finished.set_value();
      write(i + 1);
    });
  };
  write(0);
  finished.get_future().get();
  engine_.reset();  // the last callback has returned before its captures die
  EXPECT_EQ(Content("data"), std::string(kWrites, 'x'));
}

TEST_P(IoEngineContract, DestructionEndsEveryWriteFirst) {
  constexpr size_t kWrites = 1000;
  constexpr size_t kSize = 16384;
  const std::string content = PatternBytes(kWrites * kSize, 5);
  OpenedFile file = NewFile("data");
  Tally tally;
  for (size_t i = 0; i < kWrites; ++i) {
    engine_->Write(file.fd.get(), i * kSize, BytesOf(content).subspan(i * kSize, kSize),
                   tally.Expect());
  }
  engine_.reset();
  std::vector<int> errors = tally.ErrorsNow();
  EXPECT_EQ(errors.size(), kWrites);
  EXPECT_THAT(errors, testing::Each(0));
  EXPECT_EQ(Content("data"), content);
}

TEST_P(IoEngineContract, DestructionEndsWritesThatCallbacksQueue) {
  OpenedFile file = NewFile("data");
  std::atomic<int> ended = 0;
  IoEngine* engine = engine_.get();
  for (int i = 0; i < 100; ++i) {
    engine->Write(file.fd.get(), 0, BytesOf("x"), [&, engine](int) {
      engine->Write(file.fd.get(), 0, {}, [&, engine](int) {
        engine->Write(file.fd.get(), 0, BytesOf("y"), [&](int) { ++ended; });
      });
    });
  }
  engine_.reset();
  EXPECT_EQ(ended, 100);
}

TEST_P(IoEngineContract, CanBeDestroyedUnused) { engine_.reset(); }

INSTANTIATE_TEST_SUITE_P(
    All, IoEngineContract,
    testing::Values(
        Implementation{"Ring", "ring", [] { return MakeRing(RingEngine::Setup::kBest); }},
        Implementation{"PlainRing", "ring", [] { return MakeRing(RingEngine::Setup::kPlain); }},
        Implementation{"Pwrite", "pwrite-", [] { return std::make_unique<PwriteEngine>(); }},
        Implementation{"OnePwriteThread", "pwrite-0",
                       [] { return std::make_unique<PwriteEngine>(1); }}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace weighhouse::io
