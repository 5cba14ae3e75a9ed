// What every IoEngine promises of reading. The suite is instantiated beside its writing part.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "cache-daemon/io/buffer_pool.h"
#include "test/cache-daemon/io/io_engine_contract.h"

namespace weighhouse::io {
namespace {

TEST_P(IoEngineContract, ReadsEveryByteFromWhereItIs) {
  const std::string content = PatternBytes(3 * kMiB + 12345, 6);
  WriteTestFile(directory_ / "data", content);
  OpenedFile file =
      std::move(filesystem_.OpenForRead((directory_ / "data").string(), IoMode::kBuffered).value());
  std::string found(content.size(), '\0');
  Tally tally;
  constexpr size_t kPiece = 10007;  // unaligned on purpose
  for (size_t offset = 0; offset < content.size(); offset += kPiece) {
    std::span<char> piece = std::span(found).subspan(offset);
    if (piece.size() > kPiece) piece = piece.first(kPiece);
    engine_->Read(file.fd.get(), offset, std::as_writable_bytes(piece), tally.Expect());
  }
  EXPECT_THAT(tally.Wait(), testing::Each(0));
  EXPECT_EQ(found, content);
}

TEST_P(IoEngineContract, ReadsFromPastFourGibibytes) {
  OpenedFile file = NewFile("sparse");
  constexpr uint64_t kOffset = (uint64_t{5} << 30) + 4096;
  ASSERT_EQ(::pwrite(file.fd.get(), "far", 3, static_cast<off_t>(kOffset)), 3);
  std::array<char, 3> read{};
  ASSERT_EQ(ReadAndWait(file.fd.get(), kOffset, std::as_writable_bytes(std::span(read))), 0);
  EXPECT_EQ(std::string_view(read.data(), 3), "far");
}

TEST_P(IoEngineContract, ContinuesAShortRead) {
  // A pipe gives what it holds: each write of the other end is at most one short read.
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  if (engine_->Name() == "pwrite") GTEST_SKIP() << "pread(2) takes no pipe";
  std::array<char, 8> read{};
  Tally tally;
  engine_->Read(out.get(), 0, std::as_writable_bytes(std::span(read)), tally.Expect());
  for (const char* part : {"ab", "cde", "fgh"}) {
    ASSERT_EQ(::write(in.get(), part, std::strlen(part)), static_cast<ssize_t>(std::strlen(part)));
  }
  EXPECT_THAT(tally.Wait(), testing::ElementsAre(0));
  EXPECT_EQ(std::string_view(read.data(), read.size()), "abcdefgh");
}

TEST_P(IoEngineContract, ReadingNothingSucceeds) {
  OpenedFile file = NewFile("data");
  EXPECT_EQ(ReadAndWait(file.fd.get(), 10, {}), 0);
}

TEST_P(IoEngineContract, ReportsAFileThatEndsTooEarly) {
  OpenedFile file = NewFile("data");
  ASSERT_EQ(WriteAndWait(file.fd.get(), 0, BytesOf("0123456789")), 0);
  std::array<std::byte, 11> read{};
  EXPECT_EQ(ReadAndWait(file.fd.get(), 0, read), EIO);
  EXPECT_EQ(ReadAndWait(file.fd.get(), 10, std::span(read).first(1)), EIO);
  EXPECT_EQ(ReadAndWait(file.fd.get(), 5, std::span(read).first(5)), 0);
}

TEST_P(IoEngineContract, ReportsABadDescriptorForReading) {
  std::array<std::byte, 1> read{};
  EXPECT_EQ(ReadAndWait(-1, 0, read), EBADF);
  UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(ReadAndWait(null.get(), 0, read), EBADF);
}

TEST_P(IoEngineContract, ReadsDirectlyIntoThePool) {
  auto pool = std::move(BufferPool::Create(2).value());
  Bytes size = 2 * pool->buffer_size();
  const std::string content = PatternBytes(size, 8);
  OpenedFile file = NewFile("data", IoMode::kDirect);
  Buffer first = std::move(pool->TryTake().value());
  Buffer second = std::move(pool->TryTake().value());
  for (size_t i = 0; i < 2; ++i) {
    std::memcpy(first.memory().data(), content.data() + i * first.memory().size(),
                first.memory().size());
    ASSERT_EQ(WriteAndWait(file.fd.get(), i * first.memory().size(), first.memory()), 0);
  }
  std::memset(first.memory().data(), 0, first.memory().size());
  Tally tally;
  engine_->Read(file.fd.get(), 0, first.memory(), tally.Expect());
  engine_->Read(file.fd.get(), first.memory().size(), second.memory(), tally.Expect());
  EXPECT_THAT(tally.Wait(), testing::Each(0));
  EXPECT_EQ(std::memcmp(first.memory().data(), content.data(), first.memory().size()), 0);
  EXPECT_EQ(std::memcmp(second.memory().data(), content.data() + first.memory().size(),
                        second.memory().size()),
            0);
}

TEST_P(IoEngineContract, ReportsADirectFileThatEndsInsideABlock) {
  OpenedFile file = NewFile("data", IoMode::kDirect);
  auto pool = std::move(BufferPool::Create(1).value());
  Buffer buffer = std::move(pool->TryTake().value());
  ASSERT_EQ(WriteAndWait(file.fd.get(), 0, buffer.memory().first(8192)), 0);
  ASSERT_EQ(::ftruncate(file.fd.get(), 5000), 0);
  // Some filesystems look at the alignment of what is left before they see that nothing is.
  EXPECT_THAT(ReadAndWait(file.fd.get(), 0, buffer.memory().first(8192)),
              testing::AnyOf(EIO, EINVAL));
}

}  // namespace
}  // namespace weighhouse::io
