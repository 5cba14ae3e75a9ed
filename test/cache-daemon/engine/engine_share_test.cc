#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "test/cache-daemon/engine/engine_fixture.h"

namespace weighhouse {
namespace {

using Observer = std::shared_ptr<RecordingObserver>;

/// What several fills want at the same moment.
class SharedFetchTest : public EngineTest {
 protected:
  static constexpr Bytes kSize = 24 * kMiB + 4097;

  EngineOptions ShareOptions() const {
    EngineOptions options = Options();
    options.fill.range_size = 2 * kMiB;
    return options;
  }
  /// Asks, and returns once the fill is under way.
  Observer Begin(const std::string& model, const std::string& token = "") {
    auto observer = std::make_shared<RecordingObserver>();
    engine_->Acquire(Request(model, token), observer);
    observer->WaitForFilling();
    return observer;
  }
  /// The bytes of answers with content from the CDN, by "org/name/path".
  std::map<std::string, Bytes> Fetched() {
    std::map<std::string, Bytes> sums;
    for (const auto& entry : nlohmann::json::parse(hub_->Log())) {
      int status = entry["status"];
      if (entry["side"] != "cdn" || (status != 200 && status != 206)) continue;
      sums[entry["file"]] += entry["bytes"].get<Bytes>();
    }
    return sums;
  }
  const std::string content_ = PatternBytes(kSize, 21);
};

class PublicOriginsTest : public SharedFetchTest {
 protected:
  PublicOriginsTest() {
    AddFile("acme/one", "model.safetensors", content_);
    AddFile("acme/two", "other-name.safetensors", content_);
    StartHub();
    OpenEngine(ShareOptions());
  }
};

TEST_F(PublicOriginsTest, ShareOneFetchOfTheSameBytes) {
  hub_->SetFaults(R"([{"side":"cdn","action":{"kind":"delay","seconds":0.3}}])");
  Observer one = Begin("hf://acme/one");
  Observer two = Begin("hf://acme/two");
  ASSERT_OK_AND_ASSIGN(first, one->Wait());
  ASSERT_OK_AND_ASSIGN(second, two->Wait());
  EXPECT_EQ(Read(first, "model.safetensors"), content_);
  EXPECT_EQ(Read(second, "other-name.safetensors"), content_);
  EXPECT_EQ(Fetched(), (std::map<std::string, Bytes>{{"acme/one/model.safetensors", kSize}}));
}

TEST_F(PublicOriginsTest, ARequestWithATokenSharesWhatItsOriginGivesToAll) {
  hub_->SetFaults(R"([{"side":"cdn","action":{"kind":"delay","seconds":0.3}}])");
  Observer one = Begin("hf://acme/one");
  Observer two = Begin("hf://acme/one@" + hub_->Commit("acme/one"), "hf_fixture");
  ASSERT_OK_AND_ASSIGN(first, one->Wait());
  ASSERT_OK_AND_ASSIGN(second, two->Wait());
  EXPECT_EQ(Fetched()["acme/one/model.safetensors"], kSize);
}

TEST_F(PublicOriginsTest, EachGetsItsOwnErrorWhereBothFail) {
  hub_->SetFaults(R"([
    {"side":"cdn","path":"acme/one","action":{"kind":"delay","seconds":0.3}},
    {"side":"cdn","path":"acme/one","action":{"kind":"status","status":410}},
    {"side":"cdn","path":"acme/two","action":{"kind":"corrupt","at":5}}])");
  Observer one = Begin("hf://acme/one");
  Observer two = Begin("hf://acme/two");
  Result<AcquiredTree> first = one->Wait();
  Result<AcquiredTree> second = two->Wait();
  ASSERT_FALSE(first);
  ASSERT_FALSE(second);
  EXPECT_EQ(first.error().code, Code::kNotFound) << first.error().message;
  EXPECT_EQ(second.error().code, Code::kDataLoss) << second.error().message;
  EXPECT_THAT(second.error().message, ::testing::HasSubstr("other-name.safetensors"));
  EXPECT_TRUE(Names("trees/files").empty());
}

/// One way in which an origin can fail all who share a fill that began with it.
struct Failure {
  const char* name;
  const char* faults;
};

class FailingFirstOriginTest : public PublicOriginsTest,
                               public ::testing::WithParamInterface<Failure> {};

TEST_P(FailingFirstOriginTest, IsLeftForTheOneThatWaits) {
  EngineOptions options = ShareOptions();
  options.fill.origin_window = std::chrono::milliseconds(300);
  OpenEngine(options);
  hub_->SetFaults(GetParam().faults);
  Observer one = Begin("hf://acme/one");
  Observer two = Begin("hf://acme/two");
  ASSERT_OK_AND_ASSIGN(second, two->Wait());
  EXPECT_EQ(Read(second, "other-name.safetensors"), content_);
  ASSERT_OK_AND_ASSIGN(first, one->Wait());
  EXPECT_EQ(Read(first, "model.safetensors"), content_)
      << "a public origin's bytes are everybody's";
  EXPECT_TRUE(Names("ingests").empty());
}

INSTANTIATE_TEST_SUITE_P(All, FailingFirstOriginTest,
                         ::testing::Values(Failure{"WrongBytes", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"delay","seconds":0.2}},
          {"side":"cdn","path":"acme/one","action":{"kind":"corrupt","at":5}}])"},
                                           Failure{"RefusedByTheCdn", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"delay","seconds":0.2}},
          {"side":"cdn","path":"acme/one","action":{"kind":"expire"}}])"},
                                           Failure{"GoneFromTheHub", R"([
          {"side":"hub","path":"acme/one/resolve","action":{"kind":"delay","seconds":0.2}},
          {"side":"hub","path":"acme/one/resolve","action":{"kind":"status","status":404}}])"},
                                           Failure{"ServerErrors", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"delay","seconds":0.2}},
          {"side":"cdn","path":"acme/one","action":{"kind":"status","status":503}}])"},
                                           Failure{"ServerErrorsAfterTheFirstRanges", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"delay","seconds":0.2}},
          {"side":"cdn","path":"acme/one","skip":3,"action":{"kind":"status","status":500}}])"},
                                           Failure{"SentAwayForTenMinutes", R"([
          {"side":"cdn","path":"acme/one","action":
            {"kind":"status","status":429,"headers":{"Retry-After":"600"}}}])"},
                                           Failure{"Trickle", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"rate","bytes_per_second":20000}}])"},
                                           Failure{"StallsInEveryRange", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"stall","after":1000,"seconds":60}}])"},
                                           Failure{"WrongBytesInOnePiece", R"([
          {"side":"cdn","path":"acme/one","action":{"kind":"delay","seconds":0.2}},
          {"side":"cdn","path":"acme/one","action":{"kind":"ignore_range"}},
          {"side":"cdn","path":"acme/one","action":{"kind":"corrupt","at":5}}])"}),
                         [](const auto& test) { return test.param.name; });

class PrivateOriginTest : public SharedFetchTest {
 protected:
  PrivateOriginTest() {
    AddFile("acme/private", "model.safetensors", content_);
    AddFile("acme/private", ".fixture.json", R"({"private": true})");
  }
  /// No range is answered until the faults change.
  static constexpr char kPaused[] = R"([{"side":"cdn","action":{"kind":"pause"}}])";
  /// Waits for paused ranges for as long as they are.
  EngineOptions PatientOptions() {
    EngineOptions options = ShareOptions();
    options.transport.stall_timeout = std::chrono::minutes(1);
    return options;
  }
};

TEST_F(PrivateOriginTest, SharesNothingWithOthersWhileItsBytesAreOnTheirWay) {
  AddFile("other/public", "model.safetensors", content_);
  StartHub();
  OpenEngine(PatientOptions());
  hub_->SetFaults(kPaused);
  Observer owner = Begin("hf://acme/private", "hf_fixture");
  Observer other = Begin("hf://other/public");
  hub_->ClearFaults();
  ASSERT_OK_AND_ASSIGN(first, owner->Wait());
  ASSERT_OK_AND_ASSIGN(second, other->Wait());
  EXPECT_EQ(Fetched(), (std::map<std::string, Bytes>{{"acme/private/model.safetensors", kSize},
                                                     {"other/public/model.safetensors", kSize}}));
}

TEST_F(PrivateOriginTest, GoesOnForTheWaitersWhenTheOwnersTokenIsRevoked) {
  StartHub({"--token", "hf_0", "--token", "hf_1", "--token", "hf_2", "--token", "hf_3"});
  std::vector<std::string> revisions = {hub_->Commit("acme/private")};
  for (int i = 1; i < 4; ++i) {
    AddFile("acme/private", "extra.safetensors", PatternBytes(kMiB + i, i));
    hub_->Rescan();
    revisions.push_back(hub_->Commit("acme/private"));
  }
  OpenEngine(PatientOptions());
  hub_->SetFaults(kPaused);
  std::vector<Observer> observers;
  for (size_t i = 0; i < revisions.size(); ++i) {
    observers.push_back(Begin("hf://acme/private@" + revisions[i], "hf_" + std::to_string(i)));
  }
  hub_->SetTokens(R"(["hf_1", "hf_2", "hf_3"])");
  hub_->SetFaults(
      R"([{"side":"cdn","path":"model.safetensors","times":2,"action":{"kind":"expire"}}])");
  for (const Observer& observer : observers) {
    ASSERT_OK_AND_ASSIGN(tree, observer->Wait());
    EXPECT_EQ(Digest::Of(Read(tree, "model.safetensors")), Digest::Of(content_));
  }
  std::map<std::string, Bytes> fetched = Fetched();
  EXPECT_EQ(fetched["acme/private/model.safetensors"], kSize) << "each byte once";
  EXPECT_EQ(fetched["acme/private/extra.safetensors"], 3 * kMiB + 1 + 2 + 3);
  EXPECT_THAT(hub_->Log(), ::testing::HasSubstr(R"("authorization": "bad")"))
      << "the owner's token was tried after it was revoked";
}

TEST_F(PrivateOriginTest, GoesOnWithTheCredentialsOfWhoJoinedTheSameFill) {
  StartHub({"--token", "hf_0", "--token", "hf_1"});
  OpenEngine(PatientOptions());
  hub_->SetFaults(kPaused);
  Observer owner = Begin("hf://acme/private", "hf_0");
  Observer waiter = Begin("hf://acme/private", "hf_1");
  hub_->SetTokens(R"(["hf_1"])");
  hub_->SetFaults(R"([{"side":"cdn","times":1,"action":{"kind":"expire"}}])");
  ASSERT_OK_AND_ASSIGN(tree, waiter->Wait());
  EXPECT_EQ(Fetched()["acme/private/model.safetensors"], kSize);
}

}  // namespace
}  // namespace weighhouse
