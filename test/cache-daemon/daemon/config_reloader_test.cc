#include "cache-daemon/daemon/config_reloader.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/cache-daemon/api/fake_engine.h"
#include "test/cache-daemon/metrics/page_reader.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class ConfigReloaderTest : public ::testing::Test {
 protected:
  /// Begins with what is at `file_` now.
  void Start() {
    ConfigReloader::Begun begun{.source = {.file = file_, .optional = optional_}};
    begun.source.flags["cache.root"] = {.is_list = false,
                                        .items = {(directory_ / "cache").string()}};
    Result<std::string> text = config::ReadDocument(file_);
    if (text) begun.text = *text;
    Result<Reading> reading = ReadConfig(begun.source, begun.text);
    ASSERT_TRUE(reading) << reading.error().message;
    begun.reading = *reading;
    Result<std::unique_ptr<ConfigReloader>> reloader =
        ConfigReloader::Start(engine_, std::move(begun), metrics::ConfigurationMetrics(registry_));
    ASSERT_TRUE(reloader) << reloader.error().message;
    reloader_ = *std::move(reloader);
  }
  /// The status once `enough` is true of it; fails the test after a minute.
  api::ConfigurationStatus WaitFor(
      const std::function<bool(const api::ConfigurationStatus&)>& enough) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    api::ConfigurationStatus status = reloader_->Status();
    while (!enough(status) && std::chrono::steady_clock::now() < deadline) {
      ::poll(nullptr, 0, 5);
      status = reloader_->Status();
    }
    EXPECT_TRUE(enough(status));
    return status;
  }
  api::ConfigurationStatus WaitForReloads(uint64_t count) {
    return WaitFor([count](const auto& status) { return status.reloads >= count; });
  }
  api::ConfigurationStatus WaitForFailures(uint64_t count) {
    return WaitFor([count](const auto& status) { return status.failures >= count; });
  }
  /// Changes a ConfigMap's files as kubelet does: a new directory, and a link to it by rename.
  void SwapConfigMap(const std::string& text) {
    std::string version = "..version-" + std::to_string(++versions_);
    WriteTestFile(directory_ / version / "config.yaml", text);
    fs::create_directory_symlink(version, directory_ / "..data_tmp");
    fs::rename(directory_ / "..data_tmp", directory_ / "..data");
    if (!fs::is_symlink(file_)) fs::create_symlink("..data/config.yaml", file_);
  }

  TemporaryDirectory directory_;
  const std::string file_ = directory_ / "config.yaml";
  bool optional_ = false;
  int versions_ = 0;
  metrics::Registry registry_;
  FakeEngine engine_;
  std::unique_ptr<ConfigReloader> reloader_;
};

TEST_F(ConfigReloaderTest, TakesOverAFileThatWasRenamedIntoItsPlace) {
  WriteTestFile(file_, "cache: {limit: 10Gi}");
  Start();
  EXPECT_EQ(engine_.WaitForEvictToFit(1), store::FitTo::kLimit) << "at the start";
  WriteTestFile(file_, "cache: {limit: 5Gi}");
  EXPECT_EQ(engine_.WaitForReconfiguration(1).store.limit, 5 * kGiB);
  EXPECT_EQ(engine_.WaitForEvictToFit(2), store::FitTo::kLimitAndMinFree);
  api::ConfigurationStatus status = WaitForReloads(1);
  EXPECT_EQ(status.file, file_);
  EXPECT_EQ(status.error, "");
}

TEST_F(ConfigReloaderTest, TakesOverAFileThatWasWrittenInItsPlace) {
  WriteTestFile(file_, "cache: {limit: 10Gi}");
  Start();
  std::ofstream(file_) << "cache: {limit: 5Gi}";
  EXPECT_EQ(engine_.WaitForReconfiguration(1).store.limit, 5 * kGiB);
}

TEST_F(ConfigReloaderTest, TakesOverAConfigMapWhoseLinkWasSwapped) {
  SwapConfigMap("cache: {limit: 10Gi}");
  Start();
  auto swapped = std::chrono::steady_clock::now();
  SwapConfigMap("cache: {limit: 5Gi}");
  EXPECT_EQ(engine_.WaitForReconfiguration(1).store.limit, 5 * kGiB);
  EXPECT_LT(std::chrono::steady_clock::now() - swapped, std::chrono::seconds(2));
  SwapConfigMap("cache: {limit: 4Gi}");
  EXPECT_EQ(engine_.WaitForReconfiguration(2).store.limit, 4 * kGiB);
}

TEST_F(ConfigReloaderTest, AFileThatIsWrongChangesNothingAndIsNamedUntilItIsMended) {
  SwapConfigMap("cache: {limit: 10Gi}");
  Start();
  SwapConfigMap("cache:\n  limit: most\n");
  api::ConfigurationStatus wrong = WaitForFailures(1);
  EXPECT_EQ(wrong.error,
            file_ +
                ":2: cache.limit is 'most': give bytes of at least 1Mi, such as 500Gi, or a "
                "percentage of the filesystem such as 80%");
  EXPECT_EQ(wrong.reloads, 0u);
  SwapConfigMap("cache: {limit: 10Gi}");
  EXPECT_EQ(WaitForReloads(1).error, "");
  EXPECT_EQ(engine_.WaitForReconfiguration(1).store.limit, 10 * kGiB) << "the first one";
}

TEST_F(ConfigReloaderTest, AFileThatWentAwayIsWrong) {
  WriteTestFile(file_, "cache: {limit: 10Gi}");
  optional_ = true;
  Start();
  fs::remove(file_);
  EXPECT_THAT(WaitForFailures(1).error, HasSubstr("No such file"));
}

TEST_F(ConfigReloaderTest, AnOptionalFileMayComeLater) {
  optional_ = true;
  Start();
  EXPECT_EQ(reloader_->Status().file, "");
  WriteTestFile(file_, "cache: {limit: 5Gi}");
  EXPECT_EQ(engine_.WaitForReconfiguration(1).store.limit, 5 * kGiB);
  EXPECT_EQ(WaitForReloads(1).file, file_);
}

TEST_F(ConfigReloaderTest, CountsWhatWasAppliedAndWhatWasRejected) {
  WriteTestFile(file_, "");
  Start();
  WriteTestFile(file_, "cache: {limit: most}");
  WaitForFailures(1);
  WriteTestFile(file_, "cache: {limit: 5Gi}");
  WaitForReloads(1);
  reloader_.reset();  // the counters follow the status
  auto counted = [&](const char* result) {
    return ValueOf(registry_.Page({}),
                   fmt::format(R"(weighhouse_configuration_reloads_total{{result="{}"}})", result));
  };
  EXPECT_EQ(counted("applied"), "1");
  EXPECT_EQ(counted("rejected"), "1");
}

TEST_F(ConfigReloaderTest, NamesWhatAppliesAtTheNextStart) {
  WriteTestFile(file_, "fill: {connections: 8}");
  Start();
  WriteTestFile(file_, "fill: {connections: 16, engine: pwrite, loops: 2}");
  EngineOptions options = engine_.WaitForReconfiguration(1);
  EXPECT_EQ(options.fill.connections, 16u);
  EXPECT_EQ(options.write_engine, io::IoEngineChoice::kAuto);
  EXPECT_THAT(WaitForReloads(1).pending, ElementsAre("fill.loops", "fill.engine"));
  WriteTestFile(file_, "fill: {connections: 16}");
  EXPECT_TRUE(WaitForReloads(2).pending.empty());
}

TEST_F(ConfigReloaderTest, FlagsGoBeforeTheFile) {
  WriteTestFile(file_, "cache: {root: /elsewhere}");
  Start();
  WriteTestFile(file_, "cache: {root: /another, limit: 5Gi}");
  EXPECT_EQ(engine_.WaitForReconfiguration(1).store.root, (directory_ / "cache").string());
  EXPECT_TRUE(WaitForReloads(1).pending.empty()) << "no restart would apply it";
}

TEST_F(ConfigReloaderTest, EvictsAgainForAsLongAsTheCacheIsOverItsLimit) {
  engine_.evicted_to_fit.excess = kMiB;
  WriteTestFile(file_, "");
  Start();
  EXPECT_EQ(engine_.WaitForEvictToFit(3), store::FitTo::kLimit);
}

TEST_F(ConfigReloaderTest, WarnsOfAnOverrideThatAsksForLabelsThatNobodyGave) {
  WriteTestFile(file_, "overrides:\n  - match: {nodeLabels: {a: b}}\n");
  Start();
  ASSERT_EQ(reloader_->Status().warnings.size(), 1u);
  EXPECT_THAT(reloader_->Status().warnings[0], HasSubstr("--node-labels"));
}

TEST_F(ConfigReloaderTest, StopsAtOnce) {
  WriteTestFile(file_, "");
  Start();
  auto begun = std::chrono::steady_clock::now();
  reloader_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

}  // namespace
}  // namespace weighhouse::daemon
