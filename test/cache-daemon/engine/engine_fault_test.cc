#include <gmock/gmock.h>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

constexpr char kFaultModel[] = "hf://acme/shards";

/// One way for a server to misbehave that a fill must overcome by itself.
struct Overcome {
  const char* name;
  const char* faults;
};

class FaultyHubTest : public EngineTest, public ::testing::WithParamInterface<Overcome> {
 protected:
  FaultyHubTest() {
    for (size_t i = 0; i < 3; ++i) {
      shards_.push_back(PatternBytes(10 * kMiB + i * 4097, i + 10));
      AddFile("acme/shards", "model-" + std::to_string(i) + ".safetensors", shards_.back());
    }
    AddFile("acme/shards", "config.json", "{}");
    StartHub();
  }
  std::vector<std::string> shards_;
};

TEST_P(FaultyHubTest, IsOvercome) {
  hub_->SetFaults(GetParam().faults);
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(kFaultModel)));
  for (size_t i = 0; i < shards_.size(); ++i) {
    EXPECT_EQ(Read(tree, "model-" + std::to_string(i) + ".safetensors"), shards_[i]);
  }
  EXPECT_TRUE(Names("ingests").empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, FaultyHubTest,
    ::testing::Values(
        Overcome{
            "CutInTheMiddle",
            R"([{"side":"cdn","path":"","skip":1,"times":3,"action":{"kind":"cut","after":3000000}}])"},
        Overcome{"CutAtTheFirstByte",
                 R"([{"side":"cdn","path":"","times":3,"action":{"kind":"cut","after":0}}])"},
        Overcome{
            "Stall",
            R"([{"side":"cdn","path":"","skip":2,"times":1,"action":{"kind":"stall","after":5000,"seconds":20}}])"},
        Overcome{
            "ServerErrors",
            R"([{"side":"cdn","path":"","times":4,"action":{"kind":"status","status":503,"headers":{},"body":"busy"}}])"},
        Overcome{
            "ServerErrorsOfTheHub",
            R"([{"side":"hub","path":"/resolve/","times":3,"action":{"kind":"status","status":502,"headers":{},"body":""}}])"},
        Overcome{
            "TooManyRequests",
            R"([{"side":"cdn","path":"","times":2,"action":{"kind":"status","status":429,"headers":{"Retry-After":"0"},"body":""}}])"},
        Overcome{"RangeIgnored",
                 R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"ignore_range"}}])"},
        Overcome{"SignatureExpired",
                 R"([{"side":"cdn","path":"","skip":1,"times":1,"action":{"kind":"expire"}}])"},
        Overcome{"AllSignaturesExpiredAtOnce",
                 R"([{"side":"cdn","path":"","skip":4,"times":4,"action":{"kind":"expire"}}])"},
        Overcome{
            "OneWrongByte",
            R"([{"side":"cdn","path":"","skip":1,"times":1,"action":{"kind":"corrupt","at":5}}])"},
        Overcome{
            "WrongContentRange",
            R"([{"side":"cdn","path":"","skip":1,"times":1,"action":{"kind":"content_range","value":"bytes 1-2/3"}}])"},
        Overcome{
            "FewerBytesThanPromised",
            R"([{"side":"cdn","path":"","skip":1,"times":1,"action":{"kind":"short_length"}}])"},
        Overcome{"MoreBytesThanPromised",
                 R"([{"side":"cdn","path":"","skip":1,"times":1,"action":{"kind":"long_body"}}])"},
        Overcome{
            "OtherEtag",
            R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"etag","value":"\"changed\""}}])"}),
    [](const auto& test) { return test.param.name; });

class BrokenHubTest : public FaultyHubTest {
 protected:
  /// The error that an Acquire ends with; nothing may stay of it but what was verified.
  Error AcquireFails() {
    OpenEngine();
    Result<AcquiredTree> outcome = Acquire(LeasedRequest(kFaultModel, "pod"));
    EXPECT_FALSE(outcome);
    if (outcome) return {};
    return outcome.error();
  }
};

TEST_F(BrokenHubTest, WrongBytesTwiceAreAnErrorWithBothDigestsAndNeverVisible) {
  hub_->SetFaults(R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"corrupt","at":5}}])");
  Error error = AcquireFails();
  EXPECT_EQ(error.code, Code::kDataLoss);
  EXPECT_THAT(error.message,
              ::testing::ContainsRegex(
                  "digest mismatch: want sha256:[0-9a-f]{64} got sha256:[0-9a-f]{64}"));
  EXPECT_TRUE(Names("leases").empty());
  EXPECT_TRUE(Names("trees/files").empty());
}

TEST_F(BrokenHubTest, ASourceThatStaysAwayIsTemporaryAndKeepsTheLease) {
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"status","status":503,"headers":{},"body":"maintenance"}}])");
  Error error = AcquireFails();
  EXPECT_EQ(error.code, Code::kUnavailable);
  EXPECT_THAT(error.message, ::testing::HasSubstr("503"));
  EXPECT_EQ(Names("leases").size(), 1U) << "kubelet comes back for this volume";
}

TEST_F(BrokenHubTest, ACdnThatRefusesWhatTheHubGrantsIsTemporary) {
  hub_->SetFaults(R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"expire"}}])");
  Error error = AcquireFails();
  EXPECT_EQ(error.code, Code::kUnavailable) << "the credentials aren't what it refuses";
  EXPECT_THAT(error.message, ::testing::HasSubstr("403"));
  EXPECT_LE(hub_->Stat("resolve_calls"), 4 * 4) << "located again a few times, not for ever";
}

TEST_F(BrokenHubTest, ARefusedModelLeavesNoLease) {
  AddFile("acme/gated", "model.safetensors", "weights");
  AddFile("acme/gated", ".fixture.json", R"({"gated": true})");
  hub_->Rescan();
  OpenEngine();
  Result<AcquiredTree> outcome = Acquire(LeasedRequest("hf://acme/gated", "pod"));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kPermissionDenied);
  EXPECT_THAT(outcome.error().message, ::testing::HasSubstr("acme/gated"));
  EXPECT_TRUE(Names("leases").empty());
  EXPECT_TRUE(engine_->List().empty());
}

TEST_F(BrokenHubTest, AHostileFileNameIsRefusedBeforeAnythingIsWritten) {
  hub_->SetFaults(
      R"([{"side":"hub","path":"/tree/","times":-1,"action":{"kind":"listing","entries":[
    {"type":"file","path":"../../escape","size":1,"oid":"0000000000000000000000000000000000000000"}]}}])");
  Error error = AcquireFails();
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_THAT(error.message, ::testing::HasSubstr("../../escape"));
  EXPECT_TRUE(engine_->List().empty());
}

TEST_F(BrokenHubTest, AModelThatCanNeverFitIsRefusedWithTheSums) {
  EngineOptions options = Options();
  options.store.limit = 8 * kMiB;
  OpenEngine(options);
  Result<AcquiredTree> outcome = Acquire(LeasedRequest(kFaultModel, "pod"));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kOutOfRange);
  EXPECT_THAT(outcome.error().message, ::testing::HasSubstr("8.0 MiB"));
  EXPECT_TRUE(Names("leases").empty());
  EXPECT_EQ(hub_->Stat("cdn_requests"), 0);
}

class PrivateModelTest : public EngineTest {
 protected:
  PrivateModelTest() : secret_(PatternBytes(3 * kMiB, 77)) {
    AddFile("acme/private", "model.safetensors", secret_);
    AddFile("acme/private", ".fixture.json", R"({"private": true})");
    AddFile("other/public", "model.safetensors", secret_);
    StartHub({"--token", "hf_right"});
    OpenEngine();
  }
  const std::string secret_;
};

TEST_F(PrivateModelTest, IsServedOnlyToThoseWhoCouldFetchIt) {
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/private", "hf_right")));
  EXPECT_EQ(Read(tree, "model.safetensors"), secret_);
  for (const char* token : {"", "hf_wrong"}) {
    Result<AcquiredTree> refused = Acquire(LeasedRequest("hf://acme/private", "pod", token));
    ASSERT_FALSE(refused) << "cached, but token '" << token << "' has no right to it";
    EXPECT_FALSE(IsTemporary(refused.error().code)) << refused.error().message;
    EXPECT_THAT(refused.error().message, ::testing::Not(::testing::HasSubstr("hf_wrong")));
  }
}

TEST_F(PrivateModelTest, IsNotServedToStrangersWhileItsSourceIsAway) {
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/private", "hf_right")));
  hub_.reset();
  for (const char* token : {"", "hf_wrong"}) {
    Result<AcquiredTree> refused = Acquire(Request("hf://acme/private", token));
    ASSERT_FALSE(refused) << token;
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
  }
}

TEST_F(PrivateModelTest, ItsDigestInAnotherListingIsNoKeyToItsBytes) {
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/private", "hf_right")));
  int64_t before = hub_->Stat("cdn_bytes");
  ASSERT_OK_AND_ASSIGN(other, Acquire(Request("hf://other/public")));
  EXPECT_EQ(hub_->Stat("cdn_bytes") - before, static_cast<int64_t>(secret_.size()))
      << "fetched again from its own origin, though the blob was here";
  auto blob = [&](const AcquiredTree& acquired) {
    return std::filesystem::hard_link_count(std::filesystem::path(root_) / acquired.tree /
                                            "model.safetensors");
  };
  EXPECT_EQ(blob(other), 3U) << "then one copy: the blob and two trees";
}

/// File sizes around the edges of blocks, buffers and ranges; both I/O engines.
class EdgeSizeTest : public EngineTest, public ::testing::WithParamInterface<io::IoEngineChoice> {};

TEST_P(EdgeSizeTest, IsRight) {
  std::vector<size_t> sizes = {0, 1, 4095, 4096, 4097};
  for (size_t edge : {size_t{2} << 20, size_t{4} << 20, size_t{8} << 20}) {
    for (size_t size : {edge - 1, edge, edge + 1}) sizes.push_back(size);
  }
  for (size_t size : sizes) {
    AddFile("acme/edges", std::to_string(size) + ".safetensors", PatternBytes(size, size));
  }
  StartHub();
  EngineOptions options = Options();
  options.write_engine = GetParam();
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/edges")));
  for (size_t size : sizes) {
    EXPECT_EQ(Read(tree, std::to_string(size) + ".safetensors"), PatternBytes(size, size)) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, EdgeSizeTest,
                         ::testing::Values(io::IoEngineChoice::kIoUring,
                                           io::IoEngineChoice::kPwrite),
                         [](const auto& test) {
                           return test.param == io::IoEngineChoice::kIoUring ? "IoUring" : "Pwrite";
                         });

TEST_F(EngineTest, FillsALargeFileWithTheSmallestPool) {
  std::string content = PatternBytes(60 * kMiB + 17, 5);
  AddFile("acme/large", "model.safetensors", content);
  StartHub();
  EngineOptions options = Options();
  options.buffer_bytes = 0;
  options.fill.max_active_files = 1;
  options.fill.connections_per_host = 8;
  OpenEngine(options);
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/large")));
  EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(content));
}

TEST_F(EngineTest, FillsManySmallFiles) {
  for (int i = 0; i < 300; ++i) {
    AddFile("acme/many", "part/" + std::to_string(i) + ".json", std::string(100 + i, 'x'));
  }
  StartHub({"--page-size", "70"});
  OpenEngine();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request("hf://acme/many")));
  EXPECT_EQ(tree.files, 300U);
  EXPECT_EQ(Read(tree, "part/299.json"), std::string(399, 'x'));
}

TEST_F(EngineTest, CopiesALocalModel) {
  WriteTestFile(directory_ / "local/model/model.safetensors", PatternBytes(5 * kMiB + 3, 3));
  WriteTestFile(directory_ / "local/model/config.json", "{}");
  OpenEngine();
  std::string uri = "file://" + (directory_ / "local/model").string();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(Request(uri)));
  EXPECT_EQ(Read(tree, "model.safetensors"), PatternBytes(5 * kMiB + 3, 3));
  AcquireRequest hub = Request(uri);
  hub.layout = Layout::kHub;
  Result<AcquiredTree> refused = Acquire(hub);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace weighhouse
