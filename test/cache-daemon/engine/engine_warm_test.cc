// fill.warm: what was filled is in the page cache, past which it was written.

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/unique_fd.h"
#include "cache-daemon/fill/warm_decision.h"
#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr Bytes kSize = 24 * kMiB;

class EngineWarmTest : public EngineTest {
 protected:
  void SetUp() override {
    struct statfs filesystem{};
    ASSERT_EQ(::statfs(directory_.path().c_str(), &filesystem), 0);
    if (filesystem.f_type == TMPFS_MAGIC) GTEST_SKIP() << "tmpfs is nothing but page cache";
    auto figures = fill::ReadMemoryFigures();
    ASSERT_TRUE(figures) << figures.error().message;
    if (fill::MayWarm(kSize, *figures) != fill::WarmDecision::kWarm) {
      GTEST_SKIP() << "this machine has no memory to spare, or a limit";
    }
    AddFile("org/warm", "model.safetensors", PatternBytes(kSize, 31));
    StartHub();
  }
  std::string Fill(bool warm) {
    EngineOptions options = Options();
    options.fill.warm = warm;
    OpenEngine(options);
    Result<AcquiredTree> tree = Acquire(Request("hf://org/warm"));
    EXPECT_TRUE(tree) << (tree ? "" : tree.error().message);
    return tree ? root_ + "/" + tree->tree + "/model.safetensors" : "";
  }
  /// The part of a file that is in the page cache.
  static double Resident(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    void* mapped = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, file.get(), 0);
    EXPECT_NE(mapped, MAP_FAILED) << path;
    if (mapped == MAP_FAILED) return 0;
    std::vector<unsigned char> pages(kSize / static_cast<Bytes>(::sysconf(_SC_PAGESIZE)));
    EXPECT_EQ(::mincore(mapped, kSize, pages.data()), 0);
    ::munmap(mapped, kSize);
    auto resident =
        std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; });
    return static_cast<double>(resident) / static_cast<double>(pages.size());
  }
  /// True once all of the file is resident; the kernel reads ahead in its own time.
  static bool BecomesResident(const std::string& path) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (Resident(path) < 1) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      ::poll(nullptr, 0, 5);
    }
    return true;
  }
};

TEST_F(EngineWarmTest, ReadsAFilledModelAhead) {
  std::string file = Fill(true);
  EXPECT_TRUE(BecomesResident(file)) << Resident(file);
}

TEST_F(EngineWarmTest, LeavesThePageCacheAloneUnlessItIsAskedTo) {
  std::string file = Fill(false);
  engine_.reset();
  EXPECT_LT(Resident(file), 0.1);
}

}  // namespace
}  // namespace weighhouse
