#include "cache-daemon/io/clone_range.h"

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

/// Two files on one filesystem, whatever that can.
class CloneRangeTest : public testing::Test {
 protected:
  CloneRangeTest() {
    WriteTestFile(directory_ / "from", content_);
    WriteTestFile(directory_ / "to", std::string(content_.size(), '.'));
    from_ = UniqueFd(::open((directory_ / "from").c_str(), O_RDONLY | O_CLOEXEC));
    to_ = UniqueFd(::open((directory_ / "to").c_str(), O_RDWR | O_CLOEXEC));
  }

  const std::string content_ = PatternBytes(3 * kMiB + 7, 1);
  TemporaryDirectory directory_;
  UniqueFd from_, to_;
};

TEST_F(CloneRangeTest, SharesWholeMebibytesOrLeavesTheFileAsItWas) {
  Bytes shared = CloneRange(to_.get(), from_.get(), content_.size());
  EXPECT_TRUE(shared == 0 || shared == 3 * kMiB) << shared;
  std::string to = ReadTestFile(directory_ / "to");
  EXPECT_EQ(to.substr(0, shared), content_.substr(0, shared));
  EXPECT_EQ(to.substr(shared), std::string(content_.size() - shared, '.'));
}

TEST_F(CloneRangeTest, LeavesSmallFilesAlone) {
  EXPECT_EQ(CloneRange(to_.get(), from_.get(), kMiB - 1), 0U);
}

TEST_F(CloneRangeTest, SharesNothingWithWhatIsNoFile) {
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(CloneRange(to_.get(), null.get(), content_.size()), 0U);
  EXPECT_EQ(ReadTestFile(directory_ / "to"), std::string(content_.size(), '.'));
}

}  // namespace
}  // namespace weighhouse::io
