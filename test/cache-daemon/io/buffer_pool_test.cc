#include "cache-daemon/io/buffer_pool.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::io {
namespace {

using testing::HasSubstr;

std::unique_ptr<BufferPool> MakePool(size_t count, size_t buffer_size = BufferPool::kBufferSize) {
  Result<std::unique_ptr<BufferPool>> pool = BufferPool::Create(count, buffer_size);
  CHECK(pool.has_value());
  return std::move(*pool);
}

TEST(BufferPoolTest, GivesEachBufferOnceAndThenNone) {
  auto pool = MakePool(4);
  std::vector<Buffer> taken;
  std::set<std::byte*> addresses;
  while (std::optional<Buffer> buffer = pool->TryTake()) {
    addresses.insert(buffer->memory().data());
    EXPECT_EQ(buffer->memory().size(), BufferPool::kBufferSize);
    taken.push_back(std::move(*buffer));
  }
  EXPECT_EQ(addresses.size(), 4U);
  EXPECT_EQ(pool->available(), 0U);
  taken.pop_back();
  EXPECT_EQ(pool->available(), 1U);
  EXPECT_TRUE(pool->TryTake().has_value());
}

TEST(BufferPoolTest, BuffersAreWholeHugePagesThatDoNotOverlap) {
  auto pool = MakePool(3);
  std::vector<Buffer> taken;
  while (std::optional<Buffer> buffer = pool->TryTake()) taken.push_back(std::move(*buffer));
  for (size_t i = 0; i < taken.size(); ++i) {
    std::span<std::byte> memory = taken[i].memory();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % (size_t{2} << 20), 0U);
    std::memset(memory.data(), static_cast<int>(i + 1), memory.size());
  }
  for (size_t i = 0; i < taken.size(); ++i) {
    EXPECT_TRUE(std::ranges::all_of(
        taken[i].memory(), [&](std::byte b) { return b == static_cast<std::byte>(i + 1); }));
  }
}

TEST(BufferPoolTest, SmallBuffersStayAlignedForDirectIo) {
  auto pool = MakePool(5, 3 * BufferPool::kAlignment);
  std::vector<Buffer> taken;
  while (std::optional<Buffer> buffer = pool->TryTake()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->memory().data()) % BufferPool::kAlignment, 0U);
    EXPECT_EQ(buffer->memory().size(), 3 * BufferPool::kAlignment);
    taken.push_back(std::move(*buffer));
  }
  EXPECT_EQ(taken.size(), 5U);
}

TEST(BufferPoolTest, ABufferBelongsToWhomItWasMovedTo) {
  auto pool = MakePool(2);
  Buffer first = *pool->TryTake();
  std::byte* memory = first.memory().data();
  Buffer second = std::move(first);
  EXPECT_FALSE(static_cast<bool>(first));  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_TRUE(first.memory().empty());
  EXPECT_EQ(second.memory().data(), memory);
  EXPECT_EQ(pool->available(), 1U);
  Buffer third = *pool->TryTake();
  third = std::move(second);  // gives its own back
  EXPECT_EQ(third.memory().data(), memory);
  EXPECT_EQ(pool->available(), 1U);
  third = Buffer();
  EXPECT_EQ(pool->available(), 2U);
}

TEST(BufferPoolTest, AnEmptyBufferIsHarmless) {
  Buffer buffer;
  EXPECT_FALSE(static_cast<bool>(buffer));
  EXPECT_TRUE(buffer.memory().empty());
}

TEST(BufferPoolTest, RefusesPoolsThatCannotBe) {
  for (auto [count, size] : {std::pair<size_t, size_t>{0, 4096}, {1, 0}, {1, 4095}, {1, 4097}}) {
    Result<std::unique_ptr<BufferPool>> pool = BufferPool::Create(count, size);
    ASSERT_FALSE(pool.has_value());
    EXPECT_EQ(pool.error().code, Code::kInvalidArgument);
    EXPECT_THAT(pool.error().message, HasSubstr("4096"));
  }
}

TEST(BufferPoolTest, RefusesMoreMemoryThanThereIs) {
  for (size_t count : {std::numeric_limits<size_t>::max(), size_t{1} << 30}) {
    Result<std::unique_ptr<BufferPool>> pool = BufferPool::Create(count);
    ASSERT_FALSE(pool.has_value());
    EXPECT_EQ(pool.error().code, Code::kResourceExhausted);
    EXPECT_THAT(pool.error().message, HasSubstr("2.0 MiB"));
  }
}

TEST(BufferPoolTest, ThreadsNeverShareABuffer) {
  auto pool = MakePool(3, BufferPool::kAlignment);
  {
    std::vector<std::jthread> threads;
    for (int id = 1; id <= 4; ++id) {
      threads.emplace_back([&pool, id] {
        for (int i = 0; i < 2000; ++i) {
          std::optional<Buffer> buffer = pool->TryTake();
          if (!buffer) continue;
          std::ranges::fill(buffer->memory(), static_cast<std::byte>(id));
          ASSERT_EQ(std::ranges::count(buffer->memory(), static_cast<std::byte>(id)),
                    static_cast<std::ptrdiff_t>(buffer->memory().size()));
        }
      });
    }
  }
  EXPECT_EQ(pool->available(), 3U);
}

TEST(BufferPoolDeathTest, OutlivesItsBuffers) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        auto pool = MakePool(1);
        Buffer buffer = *pool->TryTake();
        pool.reset();
      },
      "broken invariant");
}

}  // namespace
}  // namespace weighhouse::io
