#include "cache-daemon/fill/hash_queue.h"

#include <latch>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weighhouse::fill {
namespace {

/// Hashes `text` through a stream in pieces of `piece` bytes and waits for them.
ContentDigests HashInPieces(HashQueue& queue, FileIdentity::Kind kind, const std::string& text,
                            size_t piece, std::optional<ContentChecksum> checksum = {}) {
  HashStream stream(queue, {.identity = {.kind = kind, .value = ""},
                            .size = text.size(),
                            .checksum = std::move(checksum)});
  std::latch done(static_cast<std::ptrdiff_t>((text.size() + piece - 1) / piece));
  std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  for (size_t begin = 0; begin < text.size(); begin += piece) {
    stream.Add(bytes.subspan(begin, std::min(piece, text.size() - begin)),
               [&done] { done.count_down(); });
  }
  done.wait();
  return stream.Finish();
}

TEST(HashQueueTest, HashesPiecesInTheOrderGiven) {
  HashQueue queue(3);
  std::string text(100000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  ContentDigests digests = HashInPieces(queue, FileIdentity::Kind::kSha256, text, 777);
  EXPECT_EQ(digests.sha256, Digest::Of(text).Hex());
  EXPECT_EQ(digests.git_sha1, "");
}

TEST(HashQueueTest, GivesGitsBlobId) {
  HashQueue queue(1);
  // `printf 'hello\n' | git hash-object --stdin`
  EXPECT_EQ(HashInPieces(queue, FileIdentity::Kind::kGitSha1, "hello\n", 2).git_sha1,
            "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(HashQueueTest, HashesWhatAFileLiesInToo) {
  HashQueue queue(1);
  const std::string text = "the file";
  HashStream stream(queue, {.identity = {}, .size = text.size(), .checksum = {}});
  stream.Enclose("before ");
  std::latch done(1);
  stream.Add(std::as_bytes(std::span(text)), [&done] { done.count_down(); });
  done.wait();
  ContentDigests digests = stream.Finish(" after");
  EXPECT_EQ(digests.sha256, Digest::Of(text).Hex());
  EXPECT_EQ(digests.enclosing_sha256, Digest::Of("before the file after").Hex());
  EXPECT_TRUE(CheckEnclosing(digests, digests.enclosing_sha256));
  Result<> other = CheckEnclosing(digests, digests.sha256);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kDataLoss);
}

TEST(HashQueueTest, HashesNothing) {
  HashQueue queue(1);
  EXPECT_EQ(HashInPieces(queue, FileIdentity::Kind::kGitSha1, "", 1).git_sha1,
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(HashQueueTest, KeepsManyStreamsApart) {
  HashQueue queue(2);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&queue, i] {
      std::string text(50000 + i, static_cast<char>('a' + i));
      EXPECT_EQ(HashInPieces(queue, FileIdentity::Kind::kVersionToken, text, 1000).sha256,
                Digest::Of(text).Hex());
    });
  }
}

TEST(HashQueueTest, ComputesTheCrcThatTheSourceGave) {
  HashQueue queue(1);
  using Kind = ContentChecksum::Kind;
  auto crc_of = [&](Kind kind) {
    return HashInPieces(queue, FileIdentity::Kind::kVersionToken, "123456789", 4,
                        ContentChecksum{.kind = kind, .value = "?"})
        .crc;
  };
  EXPECT_EQ(crc_of(Kind::kCrc32c), "e3069283");
  EXPECT_EQ(crc_of(Kind::kCrc64Nvme), "ae8b14860a799888");
  EXPECT_EQ(crc_of(Kind::kSha256), "");
}

TEST(HashQueueTest, ContentMustBeAllThatIsClaimedOfIt) {
  const std::string sha256 = Digest::Of("123456789").Hex(), other(64, 'a');
  ContentDigests digests{.sha256 = sha256, .git_sha1 = "", .crc = "e3069283"};
  using Kind = ContentChecksum::Kind;
  auto code_of = [&](FileIdentity identity, std::optional<ContentChecksum> checksum) {
    Result<Digest> digest = CheckDigests(
        digests, {.identity = std::move(identity), .size = 9, .checksum = std::move(checksum)});
    return digest ? Code{} : digest.error().code;
  };
  FileIdentity version{}, right{FileIdentity::Kind::kSha256, sha256};
  EXPECT_EQ(code_of(version, {}), Code{});
  EXPECT_EQ(code_of(right, ContentChecksum{Kind::kCrc32c, "e3069283"}), Code{});
  EXPECT_EQ(code_of(version, ContentChecksum{Kind::kSha256, sha256}), Code{});
  EXPECT_EQ(code_of(version, ContentChecksum{Kind::kSha256, other}), Code::kDataLoss);
  EXPECT_EQ(code_of(version, ContentChecksum{Kind::kCrc32c, "e3069284"}), Code::kDataLoss);
  EXPECT_EQ(code_of(right, ContentChecksum{Kind::kCrc32c, "e3069284"}), Code::kDataLoss);
  EXPECT_EQ(code_of({FileIdentity::Kind::kSha256, other}, {}), Code::kDataLoss);
}

TEST(HashQueueTest, RunsWhatIsQueuedBeforeItGoes) {
  std::string text(1 << 20, 'q');
  std::atomic<int> done = 0;
  {
    auto queue = std::make_unique<HashQueue>(1);
    HashStream stream(*queue, {.identity = {}, .size = 20 * text.size(), .checksum = {}});
    for (int i = 0; i < 20; ++i) {
      stream.Add(std::as_bytes(std::span(text)), [&done] { ++done; });
    }
    queue.reset();
  }
  EXPECT_EQ(done, 20);
}

}  // namespace
}  // namespace weighhouse::fill
