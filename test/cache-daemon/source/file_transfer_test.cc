#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cache-daemon/source/transport.h"
#include "test/cache-daemon/source/recording_sink.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::source {
namespace {

using namespace std::chrono_literals;

class FileTransferTest : public testing::Test {
 protected:
  FileTransferTest() : transport_(CreateTransport({.stall_timeout = 100ms}).value()) {
    WriteTestFile(directory_ / "file", content_);
  }
  Code CodeOf(const std::string& name, std::optional<ByteRange> range) {
    RecordingSink sink;
    TransferEnd end = Bring(*transport_, {.url = UrlOf(name)}, range, sink);
    EXPECT_EQ(end.http_status, 0);
    return end.status ? Code{} : end.status.error().code;
  }
  std::string UrlOf(const std::string& name) { return "file://" + (directory_ / name).string(); }

  const std::string content_ = PatternBytes(1'000'001, 3);
  TemporaryDirectory directory_;
  std::unique_ptr<Transport> transport_;
};

TEST_F(FileTransferTest, BringsAWholeFile) {
  RecordingSink sink;
  EXPECT_TRUE(Bring(*transport_, {.url = UrlOf("file")}, std::nullopt, sink).status);
  EXPECT_EQ(sink.bytes(), content_);
}

TEST_F(FileTransferTest, BringsARange) {
  RecordingSink sink;
  EXPECT_TRUE(Bring(*transport_, {.url = UrlOf("file")}, ByteRange{999, 700'001}, sink).status);
  EXPECT_EQ(sink.bytes(), content_.substr(999, 700'001 - 999));
}

TEST_F(FileTransferTest, TakesNamesAsTheyAre) {
  WriteTestFile(directory_ / "a%20b c#d?e", "x");
  RecordingSink sink;
  EXPECT_TRUE(Bring(*transport_, {.url = UrlOf("a%20b c#d?e")}, std::nullopt, sink).status);
  EXPECT_EQ(sink.bytes(), "x");
}

TEST_F(FileTransferTest, BringsNothingOfEmptyFilesAndRanges) {
  WriteTestFile(directory_ / "empty", "");
  EXPECT_EQ(CodeOf("empty", std::nullopt), Code{});
  EXPECT_EQ(CodeOf("file", ByteRange{5, 5}), Code{});
}

TEST_F(FileTransferTest, RefusesWhatIsNotThere) {
  EXPECT_EQ(CodeOf("missing", std::nullopt), Code::kNotFound);
  EXPECT_EQ(CodeOf("file", ByteRange{0, 1'000'002}), Code::kOutOfRange);
}

TEST_F(FileTransferTest, RefusesLinksDirectoriesAndFifos) {
  std::filesystem::create_symlink(directory_ / "file", directory_ / "link");
  std::filesystem::create_directory(directory_ / "directory");
  ASSERT_EQ(mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_NE(CodeOf("link", std::nullopt), Code{});
  EXPECT_EQ(CodeOf("directory", std::nullopt), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf("fifo", std::nullopt), Code::kFailedPrecondition);
}

TEST_F(FileTransferTest, FollowsNoLinkOnTheWay) {
  WriteTestFile(directory_ / "elsewhere" / "file", content_);
  std::filesystem::create_directory_symlink(directory_ / "elsewhere", directory_ / "model");
  EXPECT_EQ(CodeOf("model/file", std::nullopt), Code::kOutOfRange);
  EXPECT_EQ(CodeOf("elsewhere/file", std::nullopt), Code{});
}

TEST_F(FileTransferTest, NoticesAFileThatShrinks) {
  RecordingSink sink;
  sink.accept = [&](std::span<const std::byte>) {
    std::filesystem::resize_file(directory_ / "file", 300'000);
    return true;
  };
  TransferEnd end = Bring(*transport_, {.url = UrlOf("file")}, std::nullopt, sink);
  ASSERT_FALSE(end.status);
  EXPECT_EQ(end.status.error().code, Code::kOutOfRange);
}

TEST_F(FileTransferTest, OffersRefusedBytesAgainAfterResume) {
  RecordingSink sink;
  TransferId id = 0;
  int offers = 0;
  sink.accept = [&](std::span<const std::byte>) {
    if (++offers % 2 == 0) return true;
    transport_->PostAfter(5ms, [&] { transport_->Resume(id); });
    return false;
  };
  transport_->Post([&] { id = transport_->Start({.url = UrlOf("file")}, std::nullopt, sink); });
  EXPECT_TRUE(sink.WaitForEnd().status);
  EXPECT_EQ(sink.bytes(), content_);
}

TEST_F(FileTransferTest, ServesFilesInTurns) {
  RecordingSink first, second;
  bool second_began_before_first_ended = false;
  second.accept = [&](std::span<const std::byte>) {
    second_began_before_first_ended = second_began_before_first_ended || !first.ended();
    return true;
  };
  transport_->Post([&] {
    transport_->Start({.url = UrlOf("file")}, std::nullopt, first);
    transport_->Start({.url = UrlOf("file")}, std::nullopt, second);
  });
  EXPECT_TRUE(first.WaitForEnd().status);
  EXPECT_TRUE(second.WaitForEnd().status);
  EXPECT_TRUE(second_began_before_first_ended);
}

TEST_F(FileTransferTest, LetsOneSinkCancelAnother) {
  RecordingSink first, second;
  TransferId second_id = 0;
  first.accept = [&](std::span<const std::byte>) {
    transport_->Cancel(second_id);
    return true;
  };
  transport_->Post([&] {
    transport_->Start({.url = UrlOf("file")}, std::nullopt, first);
    second_id = transport_->Start({.url = UrlOf("file")}, std::nullopt, second);
  });
  EXPECT_TRUE(first.WaitForEnd().status);
  RunOnLoop(*transport_, [] {});
  EXPECT_FALSE(second.ended());
  EXPECT_EQ(second.bytes(), "");
}

}  // namespace
}  // namespace weighhouse::source
