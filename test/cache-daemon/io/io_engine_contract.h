#pragma once

// What every IoEngine promises: the fixture of the contract suite.

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/mutex.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/io/io_engine.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {

struct Implementation {
  std::string name;
  std::string thread_prefix;
  /// Null where this machine doesn't allow it.
  std::function<std::unique_ptr<IoEngine>()> make;
};

inline std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Counts the ends of many operations.
class Tally {
 public:
  IoEngine::Done Expect() {
    MutexLock lock(mutex_);
    ++expected_;
    return [this](int error_number) {
      MutexLock inner(mutex_);
      errors_.push_back(error_number);
      changed_.NotifyAll();
    };
  }
  /// The errors of all expected operations, in the order they came, once the last has ended.
  std::vector<int> Wait() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    MutexLock lock(mutex_);
    while (errors_.size() < expected_ && changed_.WaitUntil(lock, deadline)) continue;
    return errors_;
  }
  std::vector<int> ErrorsNow() {
    MutexLock lock(mutex_);
    return errors_;
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  size_t expected_ GUARDED_BY(mutex_) = 0;
  std::vector<int> errors_ GUARDED_BY(mutex_);
};

class IoEngineContract : public testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    engine_ = GetParam().make();
    if (engine_ == nullptr) GTEST_SKIP() << "io_uring is denied on this machine";
  }

  OpenedFile NewFile(const std::string& name, IoMode mode = IoMode::kBuffered) {
    return std::move(filesystem_.CreateFile((directory_ / name).string(), mode).value());
  }
  std::string Content(const std::string& name) { return ReadTestFile(directory_ / name); }

  int WriteAndWait(int fd, uint64_t offset, std::span<const std::byte> data) {
    Tally tally;
    engine_->Write(fd, offset, data, tally.Expect());
    std::vector<int> errors = tally.Wait();
    return errors.size() == 1 ? errors[0] : -1;
  }
  int ReadAndWait(int fd, uint64_t offset, std::span<std::byte> space) {
    Tally tally;
    engine_->Read(fd, offset, space, tally.Expect());
    std::vector<int> errors = tally.Wait();
    return errors.size() == 1 ? errors[0] : -1;
  }

  TemporaryDirectory directory_;
  PosixFilesystem filesystem_;
  std::unique_ptr<IoEngine> engine_;
};

}  // namespace weighhouse::io
