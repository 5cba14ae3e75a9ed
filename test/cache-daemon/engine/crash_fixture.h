#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/fault.h"
#include "test/cache-daemon/engine/volume_fixture.h"
#include "test/cache-daemon/io/durable_disk.h"
#include "test/cache-daemon/io/power_loss_filesystem.h"
#include "test/support/killed_child.h"

namespace weighhouse {

/// For tests that kill an engine at its durable steps, in a child process, and look at what the
/// next one makes of what it left: all that it did, or what of that survives a power cut. The child
/// runs on the directory, and with the Hub, of the test that began it.
class CrashFixture : public VolumeFixture {
 protected:
  ~CrashFixture() override { engine_.reset(); }  // it uses the disk

  /// In the child: the directory of the test that began it. Elsewhere there is none.
  static std::optional<std::filesystem::path> ParentsDirectory() {
    const char* directory = std::getenv(kDirectory);
    if (directory == nullptr) return std::nullopt;
    return directory;
  }
  /// Runs this program's tests of `filter` on a new cache; whether the fault killed it.
  bool IsKilled(const std::string& fault, const std::string& filter) {
    engine_.reset();
    recording_.reset();
    for (const char* name : {"root", "record"}) std::filesystem::remove_all(directory_ / name);
    std::map<std::string, std::string> environment = {{kDirectory, directory_.path().string()}};
    if (hub_) environment[kHub] = hub_->hub_url();
    return IsKilledAt(fault, filter, environment);
  }

  /// Kills tests of `filter` at the first two passages of each fault point whose name begins with
  /// one of `prefixes`, and has `check` look at what that left, with the crash's number. Fails
  /// where a point is never reached.
  void KillAtEach(const std::vector<std::string_view>& prefixes, const std::string& filter,
                  const std::function<void(unsigned)>& check) {
    size_t points = 0;
    unsigned crashes = 0;
    for (std::string_view point : kFaultPoints) {
      auto begins = [&](std::string_view prefix) { return point.starts_with(prefix); };
      if (std::ranges::none_of(prefixes, begins)) continue;
      ++points;
      int passages = 0;
      for (int passage = 1; passage <= 2; ++passage) {
        std::string fault = fmt::format("{}:{}", point, passage);
        SCOPED_TRACE(fault);
        if (!IsKilled(fault, filter)) break;
        ++passages;
        check(++crashes);
        if (HasFailure()) return;
      }
      ASSERT_GT(passages, 0) << point << " is never reached";
    }
    EXPECT_GT(points, 0U);
    // SIGKILL, one followed by a power cut, and power cuts.
    size_t modes = 2 + io::PowerCutsAfter(0).size();
    fmt::print("{} fault points x {} modes: {} kills, {} recoveries\n", points, modes, crashes,
               crashes * modes);
  }

  /// An engine on the cache below `directory` that the child had, or has. What it does is recorded.
  void OpenRecorded(const std::filesystem::path& directory) {
    engine_.reset();
    recording_ = std::make_unique<io::PowerLossFilesystem>(disk_, directory / "record");
    OpenOn(*recording_, directory / "root", directory);
  }
  /// An engine on what this power cut makes of that cache.
  void OpenAfter(io::PowerCut cut) {
    engine_.reset();
    std::filesystem::path root = directory_ / "cut";
    std::filesystem::remove_all(root);
    io::DurableDisk(directory_ / "record").CutPower(directory_ / "root", root, cut);
    OpenOn(disk_, root, directory_.path());
  }

 private:
  static constexpr const char* kDirectory = "CRASH_TEST_DIRECTORY";
  static constexpr const char* kHub = "CRASH_TEST_HUB";

  void OpenOn(io::Filesystem& disk, const std::filesystem::path& root,
              const std::filesystem::path& directory) {
    root_ = root;
    EngineOptions options = Options();
    options.store.root = root;
    options.local_roots = {directory.string()};
    options.filesystem = &disk;
    if (const char* hub = std::getenv(kHub)) options.hub_endpoint = hub;
    OpenEngine(options);
  }

  io::PosixFilesystem disk_;
  std::unique_ptr<io::PowerLossFilesystem> recording_;
};

}  // namespace weighhouse
