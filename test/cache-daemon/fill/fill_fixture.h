#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "cache-daemon/fill/fill_context.h"
#include "test/cache-daemon/fill/fake_store.h"
#include "test/cache-daemon/fill/manual_transport.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::fill {

/// A real I/O engine that counts reads and fails them when told.
class ObservedEngine final : public io::IoEngine {
 public:
  explicit ObservedEngine(std::unique_ptr<io::IoEngine> engine) : engine_(std::move(engine)) {}

  int reads() const { return reads_; }
  void FailReads(int error_number) { read_error_ = error_number; }

  void Write(int fd, uint64_t offset, std::span<const std::byte> data, Done done) override {
    engine_->Write(fd, offset, data, std::move(done));
  }
  void Read(int fd, uint64_t offset, std::span<std::byte> space, Done done) override {
    ++reads_;
    auto ended = [this, done = std::move(done)](int error_number) {
      done(read_error_ != 0 ? read_error_.load() : error_number);
    };
    engine_->Read(fd, offset, space, std::move(ended));
  }
  std::string_view Name() const override { return engine_->Name(); }

 private:
  const std::unique_ptr<io::IoEngine> engine_;
  std::atomic<int> reads_ = 0;
  std::atomic<int> read_error_ = 0;
};

/// The machine's clocks, which the test makes jump. Thread-safe.
class JumpingClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override {
    return std::chrono::system_clock::now() + wall_.load();
  }
  std::chrono::steady_clock::time_point Steady() const override {
    return std::chrono::steady_clock::now() + steady_.load();
  }
  void JumpWall(std::chrono::minutes by) { wall_ = wall_.load() + by; }
  void PassTime(std::chrono::minutes by) { steady_ = steady_.load() + by; }

 private:
  std::atomic<std::chrono::minutes> wall_{};
  std::atomic<std::chrono::minutes> steady_{};
};

/// What the fills of one Filler share, over small pieces, a fake store with a real file, both I/O
/// engines, and a transport that the test moves: the test's thread is the loop.
class FillTest : public testing::TestWithParam<io::IoEngineChoice> {
 protected:
  static constexpr Bytes kPiece = 8192;

  FillTest() : store_((directory_ / "staged").string()) {}
  void SetUp() override;
  void TearDown() override { StopContext(); }

  /// Parts and context; 3 buffers a file are the fewest.
  void MakeContext(size_t buffers, size_t max_files = 1, size_t read_buffers = 2,
                   Bytes most_at_risk = kGiB);
  /// As the Filler's destructor.
  void StopContext();
  std::shared_ptr<FillContext> context() { return context_; }
  Filler::Parts Parts();
  static ListedFile FileOf(std::string_view content) {
    return {.path = "model.safetensors",
            .size = content.size(),
            .identity = {.kind = FileIdentity::Kind::kSha256, .value = Digest::Of(content).Hex()}};
  }

  TemporaryDirectory directory_;
  FakeStore store_;
  ManualTransport transport_;
  JumpingClock clock_;
  std::chrono::milliseconds release_after_{0};  ///< for MakeContext
  std::unique_ptr<ObservedEngine> engine_;
  std::unique_ptr<io::BufferPool> buffers_;
  std::unique_ptr<io::BufferPool> read_buffers_;
  std::unique_ptr<HashQueue> hashes_;
  std::unique_ptr<WorkerPool> workers_;
  std::shared_ptr<FillContext> context_;  // shared: see FillContext
};

#define INSTANTIATE_WITH_BOTH_ENGINES(suite)                                                      \
  INSTANTIATE_TEST_SUITE_P(                                                                       \
      Engines, suite, testing::Values(io::IoEngineChoice::kIoUring, io::IoEngineChoice::kPwrite), \
      [](const auto& test) {                                                                      \
        return test.param == io::IoEngineChoice::kIoUring ? "IoUring" : "Pwrite";                 \
      })

}  // namespace weighhouse::fill
