#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr char kIntegrityModel[] = "hf://acme/model";

/// A filled model with one large file, of which a byte is flipped on the disk while a pod has it.
class EngineIntegrityTest : public EngineTest {
 protected:
  EngineIntegrityTest() : weights_(PatternBytes(5 * kMiB + 3, 31)) {
    AddFile("acme/model", "config.json", "{}");
    AddFile("acme/model", "model.safetensors", weights_);
    StartHub({"--token", "hf_token"});
  }
  EngineOptions DaemonOptions() const {
    EngineOptions options = Options();
    options.resume_fills = true;
    return options;
  }
  void FlipAByte(const AcquiredTree& tree) {
    FlipAByte(tree, "model.safetensors", weights_, 4 * kMiB + 5);
  }
  void FlipAByte(const AcquiredTree& tree, const std::string& path, const std::string& content,
                 size_t at) {
    std::filesystem::path file = std::filesystem::path(root_) / tree.tree / path;
    std::filesystem::permissions(file, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
    std::FILE* stream = std::fopen(file.c_str(), "r+");
    ASSERT_NE(stream, nullptr);
    std::fseek(stream, static_cast<long>(at), SEEK_SET);
    std::fputc(content[at] ^ 1, stream);
    std::fclose(stream);
  }
  bool IsComplete() { return engine_->List().at(0).snapshot.complete; }
  IntegrityView Integrity() { return engine_->Info()->integrity; }
  Result<VerifySums> Verify() {
    return engine_->Verify({}, {.on_finding = [](const VerifyFinding&) { return true; }}, {});
  }
  /// What holds after the byte was found, by whom ever: `first` is what the pod "reader" has.
  void CheckHealing(const AcquiredTree& first) {
    ASSERT_TRUE(Becomes([&] { return IsComplete(); })) << "a public model is filled by itself";
    EXPECT_NE(Read(first, "model.safetensors"), weights_) << "the pod's own file is not touched";
    ASSERT_EQ(Integrity().damaged.size(), 1U);
    EXPECT_EQ(Integrity().damaged[0].holder.pod_name, "reader");
    EXPECT_EQ(Integrity().quarantine.blobs, 1U);
    AcquireRequest replay = LeasedRequest(kIntegrityModel, "reader");
    replay.mounted = true;
    ASSERT_OK_AND_ASSIGN(again, Acquire(replay));
    EXPECT_EQ(again.tree, first.tree) << "what it has mounted is not taken away";
    EXPECT_EQ(engine_->EvictQuarantine().error().code, Code::kFailedPrecondition);
    ASSERT_OK_AND_ASSIGN(next, Acquire(LeasedRequest(kIntegrityModel, "next")));
    EXPECT_NE(next.tree, first.tree);
    EXPECT_EQ(Read(next, "model.safetensors"), weights_);
    EXPECT_EQ(Read(next, "config.json"), "{}");
    EXPECT_EQ(Integrity().damaged.size(), 1U);
    ASSERT_TRUE(engine_->Release(LeasedRequest(kIntegrityModel, "reader").lease_id));
    EXPECT_TRUE(Integrity().damaged.empty());
    EXPECT_EQ(Integrity().quarantine.blobs, 0U);
    EXPECT_EQ(Names("trees/files").size(), 1U);
    EXPECT_TRUE(Names("quarantine").empty());
  }

  std::string weights_;
};

TEST_F(EngineIntegrityTest, VerifyFindsAFlippedByteAndTheModelHeals) {
  OpenEngine(DaemonOptions());
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kIntegrityModel, "reader")));
  FlipAByte(first);
  ASSERT_OK_AND_ASSIGN(sums, Verify());
  EXPECT_EQ(sums.blobs, 2U);
  EXPECT_EQ(sums.bad, 1U);
  EXPECT_EQ(sums.bytes, weights_.size() + 2);
  CheckHealing(first);
}

TEST_F(EngineIntegrityTest, ScrubFindsAFlippedByteAndTheModelHeals) {
  OpenEngine(DaemonOptions());
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kIntegrityModel, "reader")));
  FlipAByte(first);
  EngineOptions options = DaemonOptions();
  options.scrub.daily_bytes = kGiB;
  OpenEngine(options);
  ASSERT_TRUE(Becomes([&] { return Integrity().scrub.failures == 1; }));
  CheckHealing(first);
  EXPECT_EQ(Integrity().counters.blobs_bad, 1U);
}

TEST_F(EngineIntegrityTest, ReplayOfAVolumeThatIsNotMountedYetGetsGoodBytes) {
  OpenEngine(DaemonOptions());
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kIntegrityModel, "reader")));
  FlipAByte(first);
  ASSERT_TRUE(Verify());
  ASSERT_TRUE(Becomes([&] { return IsComplete(); }));
  ASSERT_OK_AND_ASSIGN(again, Acquire(LeasedRequest(kIntegrityModel, "reader")));
  EXPECT_NE(again.tree, first.tree);
  EXPECT_EQ(Read(again, "model.safetensors"), weights_);
  EXPECT_TRUE(Integrity().damaged.empty());
  EXPECT_TRUE(Becomes([&] { return Integrity().quarantine.blobs == 0; }));
}

TEST_F(EngineIntegrityTest, PrivateModelHealsAtItsNextPublish) {
  AddFile("acme/model", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  OpenEngine(DaemonOptions());
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kIntegrityModel, "reader", "hf_token")));
  FlipAByte(first);
  hub_->Reset();
  ASSERT_TRUE(Verify());
  EXPECT_FALSE(IsComplete());
  EXPECT_EQ(hub_->Stat("cdn_requests"), 0);
  EXPECT_FALSE(Acquire(LeasedRequest(kIntegrityModel, "thief"))) << "and nobody else gets it";
  ASSERT_OK_AND_ASSIGN(next, Acquire(LeasedRequest(kIntegrityModel, "next", "hf_token")));
  EXPECT_EQ(Read(next, "model.safetensors"), weights_);
  EXPECT_EQ(next.bytes_fetched, weights_.size());
}

TEST_F(EngineIntegrityTest, ManyBadFilesOfAModelAskItsSourceOnceForEachFill) {
  constexpr unsigned kShards = 24;
  constexpr char kSlow[] =
      R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"rate","bytes_per_second":200000}}])";
  std::vector<std::string> shards;
  for (unsigned i = 0; i < kShards; ++i) {
    shards.push_back(PatternBytes(100'000, 100 + i));
    AddFile("acme/model", fmt::format("shard-{}.safetensors", i), shards[i]);
  }
  hub_->Rescan();
  OpenEngine(DaemonOptions());
  ASSERT_OK_AND_ASSIGN(first, Acquire(LeasedRequest(kIntegrityModel, "reader")));
  for (unsigned i = 0; i < kShards; ++i) {
    FlipAByte(first, fmt::format("shard-{}.safetensors", i), shards[i], i);
  }
  hub_->Reset();
  hub_->SetFaults(kSlow);  // the first fill outlasts the verification
  ASSERT_OK_AND_ASSIGN(sums, Verify());
  EXPECT_EQ(sums.bad, kShards);
  ASSERT_TRUE(Becomes([&] { return IsComplete(); }));
  EXPECT_LT(hub_->Stat("api_calls"), 6);
}

TEST_F(EngineIntegrityTest, VerifySaysHowFarItIsAndStopsWhenTold) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kIntegrityModel)));
  std::optional<VerifyProgress> heard;
  VerifyObserver observer{.on_finding = [](const VerifyFinding&) { return true; },
                          .on_progress =
                              [&](const VerifyProgress& progress) {
                                heard = progress;
                                return false;
                              }};
  EXPECT_EQ(engine_->Verify({}, observer, {}).error().code, Code::kCancelled);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->blobs_total, 2U);
  EXPECT_EQ(heard->bytes_total, weights_.size() + 2);
  EXPECT_GT(heard->bytes, 0U);
}

TEST_F(EngineIntegrityTest, VerifyThatWaitsForItsRateStopsAtOnce) {
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kIntegrityModel)));
  std::stop_source stop;
  std::jthread stopper([&] {
    EXPECT_TRUE(Becomes([&] { return Integrity().counters.bytes_verified > 0; }));
    stop.request_stop();
  });
  VerifyObserver observer{.on_finding = [](const VerifyFinding&) { return true; }};
  auto begun = std::chrono::steady_clock::now();
  auto verified = engine_->Verify({.bytes_per_second = 1}, observer, stop.get_token());
  EXPECT_EQ(verified.error().code, Code::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::minutes(1));
}

}  // namespace
}  // namespace weighhouse
