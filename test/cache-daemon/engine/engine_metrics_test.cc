#include "test/cache-daemon/engine/engine_fixture.h"
#include "test/cache-daemon/metrics/page_reader.h"

namespace weighhouse {
namespace {

constexpr char kMetricsModel[] = "hf://acme/tiny";

/// What real fills in a real engine make of the counters: exact numbers.
class EngineMetricsTest : public EngineTest {
 protected:
  EngineMetricsTest() : weights_(PatternBytes(5 * kMiB + 12345, 1)), config_(R"({"size": 8})") {
    AddFile("acme/tiny", "model.safetensors", weights_);
    AddFile("acme/tiny", "config.json", config_);
    AddFile("acme/other", "model.safetensors", PatternBytes(3 * kMiB, 2));
    StartHub();
  }

  EngineOptions Counted() {
    EngineOptions options = Options();
    options.metrics = metrics::CacheMetrics(registry_);
    return options;
  }
  std::string Value(const std::string& series) const {
    return ValueOf(registry_.Page({}), series).value_or("absent");
  }
  std::string Fills(const std::string& name, const std::string& labels = "") const {
    return Value("weighhouse_fill" + name + "{" + labels + "source=\"huggingface\"}");
  }
  std::string Acquires(const std::string& result) const {
    return Value("weighhouse_acquires_total{result=\"" + result + "\"}");
  }
  std::string Waits(const std::string& outcome) const {
    return Value("weighhouse_acquire_duration_seconds_count{outcome=\"" + outcome + "\"}");
  }

  const std::string weights_;
  const std::string config_;
  metrics::Registry registry_;
};

TEST_F(EngineMetricsTest, CountsAColdAndAWarmModelExactly) {
  OpenEngine(Counted());
  ASSERT_OK_AND_ASSIGN(cold, Acquire(LeasedRequest(kMetricsModel, "cold")));
  std::string bytes = std::to_string(weights_.size() + config_.size());
  EXPECT_EQ(Fills("s_started_total"), "1");
  EXPECT_EQ(Fills("s_ended_total", "code=\"OK\","), "1");
  EXPECT_EQ(Fills("_duration_seconds_count"), "1");
  EXPECT_EQ(Fills("_received_bytes_total"), bytes);
  EXPECT_EQ(Fills("_verified_bytes_total"), bytes);
  EXPECT_EQ(Acquires("miss"), "1");
  EXPECT_EQ(Waits("cold"), "1");
  EXPECT_EQ(Acquires("hit"), "0");

  ASSERT_OK_AND_ASSIGN(warm, Acquire(LeasedRequest(kMetricsModel, "warm")));
  EXPECT_EQ(Acquires("hit"), "1");
  EXPECT_EQ(Waits("warm"), "1");
  EXPECT_EQ(Waits("cold"), "1");
  EXPECT_EQ(Fills("s_started_total"), "1");
  EXPECT_EQ(Fills("_received_bytes_total"), bytes);

  ASSERT_OK_AND_ASSIGN(replayed, Acquire(LeasedRequest(kMetricsModel, "warm")));
  EXPECT_EQ(Acquires("replay"), "1");
  EXPECT_EQ(Acquires("hit"), "1");
  EXPECT_EQ(Waits("warm"), "1");
}

TEST_F(EngineMetricsTest, CountsThoseWhoJoinAFill) {
  OpenEngine(Counted());
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":1,"action":{"kind":"delay","seconds":0.3}}])");
  auto first = std::make_shared<RecordingObserver>();
  auto second = std::make_shared<RecordingObserver>();
  engine_->Acquire(LeasedRequest(kMetricsModel, "first"), first);
  first->WaitForFilling();
  engine_->Acquire(LeasedRequest(kMetricsModel, "second"), second);
  ASSERT_OK_AND_ASSIGN(one, first->Wait());
  ASSERT_OK_AND_ASSIGN(two, second->Wait());
  EXPECT_EQ(Acquires("miss"), "1");
  EXPECT_EQ(Acquires("joined"), "1");
  EXPECT_EQ(Waits("cold"), "2");
  EXPECT_EQ(Fills("s_started_total"), "1");
}

TEST_F(EngineMetricsTest, APublishThatComesBackIsOneMiss) {
  OpenEngine(Counted());
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":1,"action":{"kind":"delay","seconds":0.3}}])");
  auto impatient = std::make_shared<RecordingObserver>();
  engine_->Acquire(LeasedRequest(kMetricsModel, "pod"), impatient);
  impatient->WaitForFilling();
  impatient.reset();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(kMetricsModel, "pod")));
  EXPECT_EQ(Acquires("miss"), "1");
  EXPECT_EQ(Acquires("joined"), "0");
  EXPECT_EQ(Acquires("replay"), "0");
  EXPECT_EQ(Waits("cold"), "1");
}

TEST_F(EngineMetricsTest, CountsFailuresByCode) {
  OpenEngine(Counted());
  EXPECT_FALSE(Acquire(Request("file:///absent")));
  EXPECT_EQ(Value(R"(weighhouse_acquire_failures_total{code="PERMISSION_DENIED"})"), "1");
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"status","status":503}}])");
  Result<AcquiredTree> failed = Acquire(Request(kMetricsModel));
  ASSERT_FALSE(failed);
  std::string code(CodeName(failed.error().code));
  EXPECT_EQ(Fills("s_ended_total", "code=\"" + code + "\","), "1");
  EXPECT_EQ(Fills("s_ended_total", "code=\"OK\","), "0");
  EXPECT_EQ(Fills("_duration_seconds_count"), "0");
  EXPECT_EQ(Value("weighhouse_acquire_failures_total{code=\"" + code + "\"}"), "1");
  EXPECT_EQ(Acquires("miss"), "1");
}

TEST_F(EngineMetricsTest, CountsEvictionsByReason) {
  EngineOptions options = Counted();
  options.store.limit = 7 * kMiB;
  options.store.min_free = 0;
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(tiny, Acquire(Request(kMetricsModel)));
  ASSERT_OK_AND_ASSIGN(other, Acquire(Request("hf://acme/other")));
  EXPECT_EQ(Value(R"(weighhouse_evictions_total{reason="space"})"), "1");
  ASSERT_OK_AND_ASSIGN(evicted, engine_->Evict("", "hf://acme/other"));
  EXPECT_EQ(evicted.bytes, 3 * kMiB);
  EXPECT_EQ(Value(R"(weighhouse_evictions_total{reason="request"})"), "1");
  EXPECT_EQ(Value(R"(weighhouse_evicted_bytes_total{reason="request"})"),
            std::to_string(evicted.bytes));
}

TEST_F(EngineMetricsTest, SaysWhatThereIs) {
  OpenEngine(Counted());
  ASSERT_OK_AND_ASSIGN(tree, Acquire(LeasedRequest(kMetricsModel, "pod")));
  ASSERT_OK_AND_ASSIGN(before, engine_->Info());
  EXPECT_EQ(before.contents.snapshots_complete, 1U);
  EXPECT_EQ(before.contents.snapshots_incomplete, 0U);
  EXPECT_EQ(before.contents.blobs, 2U);
  EXPECT_EQ(before.contents.leases, 1U);
  EXPECT_EQ(before.contents.quarantined_blobs, 0U);

  Digest damaged = Digest::Of(config_);
  std::filesystem::path blob =
      std::filesystem::path(root_) / "blobs/sha256" / damaged.Hex().substr(0, 2) / damaged.Hex();
  std::filesystem::permissions(blob, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  WriteTestFile(blob, std::string(config_.size(), 'x'));
  ASSERT_OK_AND_ASSIGN(sums,
                       engine_->Verify({}, {.on_finding = [](const auto&) { return true; }}, {}));
  EXPECT_EQ(sums.bad, 1U);
  ASSERT_OK_AND_ASSIGN(after, engine_->Info());
  EXPECT_EQ(after.contents.quarantined_blobs, 1U);
  EXPECT_EQ(after.contents.quarantined_bytes, 4096U);
  EXPECT_EQ(after.contents.snapshots_incomplete, 1U);
  EXPECT_EQ(Value("weighhouse_blobs_quarantined_total"), "1");
  EXPECT_EQ(Value("weighhouse_verified_blobs_total"), std::to_string(sums.blobs));
  EXPECT_EQ(Value("weighhouse_verified_bytes_total"), std::to_string(sums.bytes));
}

TEST_F(EngineMetricsTest, CountsNoEvictionOfWhatARefusedVolumeLeft) {
  EngineOptions options = Counted();
  options.store.limit = kMiB;
  OpenEngine(options);
  VolumeRequest request{.volume_id = "volume",
                        .request_digest = Digest::Of("request").Hex(),
                        .model = Request(kMetricsModel).model,
                        .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
  EXPECT_EQ(engine_->CreateVolume(request).error().code, Code::kResourceExhausted);
  EXPECT_TRUE(Names("snapshots").empty()) << "it was dropped";
  EXPECT_EQ(Value(R"(weighhouse_evictions_total{reason="request"})"), "0");
  EXPECT_EQ(Value(R"(weighhouse_evicted_bytes_total{reason="request"})"), "0");
}

TEST_F(EngineMetricsTest, TheEventLoopAnswers) {
  OpenEngine(Counted());
  EXPECT_TRUE(engine_->CheckAnswers(std::chrono::seconds(30)));
}

/// Models that exist and models that don't, however many: the page stays as long as it was.
TEST_F(EngineMetricsTest, ThePageDoesNotGrowWithTheModels) {
  OpenEngine(Counted());
  auto ask = [&](int number) {
    EXPECT_FALSE(Acquire(Request("hf://acme/absent-" + std::to_string(number))));
    EXPECT_FALSE(Acquire(Request("file:///absent/" + std::to_string(number))));
    std::string path = "acme/model-" + std::to_string(number);
    WriteTestFile(directory_.path() / "local" / path, path);
    std::string local = (directory_.path() / "local" / path).string();
    Result<AcquiredTree> tree = Acquire(Request("file://" + local));
    ASSERT_TRUE(tree) << tree.error().message;
  };
  ask(0);
  size_t series = ReadSamples(registry_.Page({})).size();
  for (int number = 1; number < 334; ++number) ask(number);
  std::string page = registry_.Page({});
  EXPECT_EQ(ReadSamples(page).size(), series);
  EXPECT_EQ(page.find("acme"), std::string::npos);
  EXPECT_EQ(Value(R"(weighhouse_fills_ended_total{code="OK",source="local"})"), "334");
}

}  // namespace
}  // namespace weighhouse
