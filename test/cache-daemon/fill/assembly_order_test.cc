// Several files over one small pool, in orders that no test would think of.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test/cache-daemon/fill/assembled_file.h"
#include "test/cache-daemon/fill/fill_fixture.h"

namespace weighhouse::fill {
namespace {

class AssemblyOrderTest : public FillTest {
 protected:
  static constexpr size_t kFiles = 3;
  static constexpr size_t kConnections = 4;

  size_t Below(size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random_);
  }

  /// A file of up to 30 pieces of which random parts are there from before, and the ranges that
  /// bring the rest.
  struct File {
    std::string content;
    std::unique_ptr<FakeStore> store;
    std::unique_ptr<AssembledFile> assembly;
    std::vector<ByteRange> ranges;  // what is left of each
  };
  File Begin(size_t number) {
    File file;
    file.content = PatternBytes(1 + Below(30 * kPiece), random_());
    file.store = std::make_unique<FakeStore>((directory_ / std::to_string(number)).string());
    std::string left(file.content.size(), '#');
    std::vector<ByteRange> recorded;
    for (Bytes begin = Below(4 * kPiece); begin < file.content.size();) {
      Bytes end = std::min<Bytes>(file.content.size(), begin + 1 + Below(4 * kPiece));
      left.replace(begin, end - begin, file.content, begin, end - begin);
      recorded.push_back({.begin = begin, .end = end});
      begin = end + 1 + Below(8 * kPiece);
    }
    file.store->Leave(left, recorded);
    file.assembly =
        std::make_unique<AssembledFile>(context(), *file.store, file.content, FileOf(file.content));
    Bytes from = 0;
    while (auto missing = (*file.assembly)->NextMissing(from)) {
      from = std::min(missing->end, missing->begin + 2 * kPiece);
      file.ranges.push_back({.begin = missing->begin, .end = from});
    }
    return file;
  }
  /// A connection brings its next bytes; false if there is no buffer for them, or no connection.
  bool Bring(File& file, size_t connection) {
    if (connection >= file.ranges.size()) return false;
    ByteRange& range = file.ranges[connection];
    ByteRange chunk{.begin = range.begin,
                    .end = std::min<Bytes>(range.end, range.begin + 1 + Below(kPiece))};
    if (!file.assembly->Accept(chunk)) return false;
    range.begin = chunk.end;
    if (range.begin == range.end) {
      file.ranges.erase(file.ranges.begin() + static_cast<std::ptrdiff_t>(connection));
    }
    return true;
  }
  /// Any connection of any file brings something; false if all must wait.
  bool BringSomething(std::vector<File>& files) {
    for (int i = 0; i < 5; ++i) {
      if (Bring(files[Below(kFiles)], Below(kConnections))) return true;
    }
    for (File& file : files) {
      for (size_t connection = 0; connection < kConnections; ++connection) {
        if (Bring(file, connection)) return true;
      }
    }
    return false;
  }

  std::minstd_rand random_;
};

TEST_P(AssemblyOrderTest, EveryFileIsCompleteAndRight) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    random_.seed(seed);
    MakeContext(3 * kFiles + Below(3), kFiles, 1 + Below(3));
    std::vector<File> files;
    for (size_t i = 0; i < kFiles; ++i) files.push_back(Begin(i));
    auto all_here = [&] {
      return std::ranges::all_of(files, [](const File& file) { return file.ranges.empty(); });
    };
    while (!all_here()) {
      if (Below(3) == 0) transport_.RunTasks();
      ASSERT_TRUE(transport_.RunUntil([&] { return BringSomething(files); }));
    }
    for (File& file : files) file.assembly->ExpectComplete(transport_, *file.store);
    EXPECT_EQ(buffers_->available(), buffers_->count());
    EXPECT_EQ(read_buffers_->available(), read_buffers_->count());
  }
}

INSTANTIATE_WITH_BOTH_ENGINES(AssemblyOrderTest);

}  // namespace
}  // namespace weighhouse::fill
