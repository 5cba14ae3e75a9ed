// The fuzzers' seeds as unit tests: each, and what is left of it when it is cut off.

#include <algorithm>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "test/fuzz/fuzz.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::fuzz {

std::vector<NamedTarget>& Targets() {
  static std::vector<NamedTarget> targets;
  return targets;
}

namespace {

/// Of a long seed so many of its beginnings are tried.
constexpr size_t kMostCuts = 500;

std::filesystem::path SeedsDirectory() {
  return std::filesystem::path(WEIGHHOUSE_SOURCE_DIR) / "test/fuzz/seeds";
}

std::vector<std::filesystem::path> SeedsOf(const std::string& name) {
  std::vector<std::filesystem::path> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(SeedsDirectory() / name)) {
    seeds.push_back(entry.path());
  }
  std::ranges::sort(seeds);
  return seeds;
}

class SeedsTest : public testing::TestWithParam<NamedTarget> {};

TEST_P(SeedsTest, HoldWholeAndCutOff) {
  std::vector<std::filesystem::path> seeds = SeedsOf(GetParam().name);
  ASSERT_FALSE(seeds.empty());
  for (const std::filesystem::path& seed : seeds) {
    SCOPED_TRACE(seed.string());
    const std::string bytes = ReadTestFile(seed);
    GetParam().target(bytes);
    size_t step = std::max<size_t>(1, bytes.size() / kMostCuts);
    for (size_t cut = 0; cut < bytes.size(); cut += step) {
      // A copy of its own: a sanitizer sees what reads past its end.
      std::string beginning = bytes.substr(0, cut);
      GetParam().target(beginning);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SeedsTest, testing::ValuesIn(Targets()),
                         [](const auto& each) { return each.param.name; });

TEST(SeedsDirectoryTest, HasNoneThatNobodyRuns) {
  std::set<std::string> known = {"configuration"};  // whose target isn't in every preset
  for (const NamedTarget& each : Targets()) known.insert(each.name);
  for (const auto& entry : std::filesystem::directory_iterator(SeedsDirectory())) {
    EXPECT_TRUE(known.contains(entry.path().filename().string())) << entry.path();
  }
}

}  // namespace
}  // namespace weighhouse::fuzz
