#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "cli/progress_printer.h"

namespace weighhouse::cli {

/// Moved by the test, and by nothing else.
class HandClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override { return {}; }
  std::chrono::steady_clock::time_point Steady() const override { return now_; }
  void Advance(std::chrono::milliseconds by) { now_ += by; }

 private:
  std::chrono::steady_clock::time_point now_ =
      std::chrono::steady_clock::time_point() + std::chrono::hours(1);
};

/// What is printed goes into a pipe, which counts as a terminal of 80 columns and 24 lines.
class ProgressFixture : public ::testing::Test {
 protected:
  ProgressFixture() {
    std::array<int, 2> fds{-1, -1};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
  }
  /// What was written since the last call.
  std::string Written() const {
    std::array<char, 65536> text;
    ssize_t size = ::read(read_.get(), text.data(), text.size());
    return size > 0 ? std::string(text.data(), static_cast<size_t>(size)) : "";
  }
  static Progress At(Bytes done) {
    return {.total = 100, .done = done, .files_total = 1, .waiting_for = ""};
  }

  HandClock clock_;
  UniqueFd read_, write_;
};

}  // namespace weighhouse::cli
