#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/mutex.h"
#include "cache-daemon/engine/engine.h"
#include "test/support/fixture_hub.h"
#include "test/support/temporary_directory.h"

namespace weighhouse {

/// Collects what one Acquire says, and waits for its end (at most three minutes).
class RecordingObserver final : public AcquireObserver {
 public:
  void OnResolving() override;
  void OnFilling(const std::string& snapshot_id, const std::string& revision,
                 const fill::FillProgress& progress) override;
  void OnDone(const Result<AcquiredTree>& outcome) override;

  Result<AcquiredTree> Wait() EXCLUDES(mutex_);
  /// Waits until the fill was heard of for the first time.
  void WaitForFilling() EXCLUDES(mutex_);
  std::optional<fill::FillProgress> last_progress() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  std::optional<fill::FillProgress> progress_ GUARDED_BY(mutex_);
  std::optional<Result<AcquiredTree>> outcome_ GUARDED_BY(mutex_);
};

/// A fixture Hub and an engine with a cache of its own, small back-offs and small ranges.
class EngineTest : public ::testing::Test {
 protected:
  EngineTest() : models_(directory_ / "models"), root_((directory_ / "cache").string()) {}

  void AddFile(const std::string& repository, const std::string& path, std::string_view content) {
    WriteTestFile(models_ / repository / path, content);
  }
  void StartHub(std::vector<std::string> arguments = {});
  EngineOptions Options() const;
  void OpenEngine() { OpenEngine(Options()); }
  void OpenEngine(const EngineOptions& options);

  static AcquireRequest Request(const std::string& model, const std::string& token = "");
  /// With a lease for the pod's volume `name`.
  static AcquireRequest LeasedRequest(const std::string& model, const std::string& name,
                                      const std::string& token = "");
  Result<AcquiredTree> Acquire(AcquireRequest request);
  std::string Read(const AcquiredTree& tree, const std::string& path) const {
    return ReadTestFile(std::filesystem::path(root_) / tree.tree / path);
  }
  /// The names below `directory` of the cache root, sorted.
  std::vector<std::string> Names(const std::string& directory) const;

  /// Waits, at most a minute, until `condition` holds.
  template <class Condition>
  static bool Becomes(Condition condition) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  TemporaryDirectory directory_;
  std::filesystem::path models_;
  std::string root_;
  std::unique_ptr<FixtureHub> hub_;
  std::string hub_url_ = "http://127.0.0.1:9";  ///< the last one's
  std::unique_ptr<Engine> engine_;
};

/// Names the value of a Result; an error ends the test with its message.
#define ASSERT_OK_AND_ASSIGN(declaration, expression)                        \
  auto declaration##_result = (expression);                                  \
  ASSERT_TRUE(declaration##_result) << declaration##_result.error().message; \
  [[maybe_unused]] auto& declaration = *declaration##_result

}  // namespace weighhouse
