// What one tenant can't do to others: with sources of its own that are slow, or that bear the names
// of theirs.

#include <atomic>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "test/cache-daemon/engine/volume_fixture.h"
#include "test/cache-daemon/source/scripted_server.h"

namespace weighhouse {
namespace {

using source::HttpAnswer;
using source::ScriptedServer;
using testing::Contains;

constexpr const char* kEvil = "evil";

AcquireRequest In(const std::string& pod_namespace, AcquireRequest request) {
  request.holder.pod_namespace = pod_namespace;
  return request;
}

class EngineTenantsTest : public VolumeFixture {
 protected:
  EngineTenantsTest() {
    AddFile("org/model", "model.safetensors", PatternBytes(2 * kMiB, 71));
    AddFile("org/other", "model.safetensors", PatternBytes(2 * kMiB, 72));
    StartHub({"--token", "hf_right", "--token", "hf_other"});
    options_ = Options();
    options_.resolve_threads = 4;
    OpenEngine(options_);
  }
  ~EngineTenantsTest() override { engine_.reset(); }  // it asks the servers

  /// A model of a server that takes a request and then says nothing.
  std::string Slow(int number) const {
    return silent_.Url(fmt::format("/{}/model.safetensors", number));
  }
  void Begin(const AcquireRequest& request) {
    observers_.push_back(std::make_shared<RecordingObserver>());
    engine_->Acquire(request, observers_.back());
  }
  void BeginSlow(const std::string& pod_namespace, int number) {
    Begin(In(pod_namespace, LeasedRequest(Slow(number), "slow-" + std::to_string(number))));
  }
  bool IsAsked(size_t times) {
    return Becomes([&] { return silent_.Requests().size() >= times; });
  }

  /// Long before a request to a silent server is given up, which takes a minute.
  static constexpr std::chrono::seconds kSoon{30};

  EngineOptions options_;
  std::atomic<bool> holds_ = true;
  ScriptedServer silent_{[this](const auto& request) -> ScriptedServer::Reply {
    if (holds_ || request.method == "GET") return {"", ScriptedServer::Reply::Then::kHold};
    return {"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nETag: \"e\"\r\n\r\n"};
  }};
  std::vector<std::shared_ptr<RecordingObserver>> observers_;
};

TEST_F(EngineTenantsTest, SlowSourcesHoldUpTheirNamespaceOnly) {
  for (int i = 0; i < 8; ++i) BeginSlow(kEvil, i);
  ASSERT_TRUE(IsAsked(1));
  ASSERT_OK_AND_ASSIGN(tree, Acquire(In("good", LeasedRequest(kModel, "pod"))));
  ASSERT_OK_AND_ASSIGN(admins, Acquire(Request(kOther)));
  EXPECT_EQ(silent_.Requests().size(), 1U) << "it has one of four threads";
}

TEST_F(EngineTenantsTest, WhatNobodyNeedBeAskedForWaitsForNoSource) {
  std::string pinned = std::string(kModel) + "@" + hub_->Commit("org/model");
  ASSERT_OK_AND_ASSIGN(brought, Acquire(Request(pinned)));
  for (int i = 0; i < 4; ++i) BeginSlow(kEvil + std::to_string(i), i);
  ASSERT_TRUE(IsAsked(4)) << "every thread waits";
  auto began = std::chrono::steady_clock::now();
  ASSERT_OK_AND_ASSIGN(tree, Acquire(In(kEvil, LeasedRequest(pinned, "pod"))));
  EXPECT_LT(std::chrono::steady_clock::now() - began, kSoon);
  EXPECT_EQ(tree.served_from, AcquiredTree::ServedFrom::kCache);
}

TEST_F(EngineTenantsTest, WhatIsKeptIsFetchedWhateverPodsAskFor) {
  for (int i = 0; i < 4; ++i) BeginSlow(kEvil + std::to_string(i), i);
  ASSERT_TRUE(IsAsked(4)) << "every thread waits";
  options_.keep = {ModelReference::Parse(kModel).value()};
  ASSERT_TRUE(engine_->Reconfigure(options_));
  EXPECT_TRUE(BecomesComplete(1));
}

TEST_F(EngineTenantsTest, SlowSourcesOfClaimsHoldUpTheirNamespaceOnly) {
  for (int i = 0; i < 20; ++i) {
    VolumeRequest slow = InAHurry(Of("slow-" + std::to_string(i), Slow(i)));
    slow.claim_namespace = kEvil;
    EXPECT_EQ(CodeOf(slow), Code::kAborted);
  }
  VolumeRequest request = Of("volume", kModel);
  request.claim_namespace = "good";
  request.deadline = std::chrono::steady_clock::now() + kSoon;
  ASSERT_OK_AND_ASSIGN(volume, engine_->CreateVolume(request));
  EXPECT_EQ(volume.commit, hub_->Commit("org/model"));
}

TEST_F(EngineTenantsTest, InterruptedFillsOfASlowServerHoldUpItsOwnOnly) {
  holds_ = false;
  hub_->SetFaults(
      R"([{"side":"cdn","path":"","times":-1,"action":{"kind":"rate","bytes_per_second":1000}}])");
  for (int i = 0; i < 8; ++i) BeginSlow(kEvil, i);
  Begin(LeasedRequest(kModel, "pod"));
  for (const auto& observer : observers_) observer->WaitForFilling();
  engine_.reset();
  hub_->ClearFaults();
  holds_ = true;
  size_t asked = silent_.Requests().size();
  options_.resume_fills = true;
  OpenEngine(options_);
  EXPECT_TRUE(BecomesComplete(1));
  EXPECT_EQ(silent_.Requests().size(), asked + 1) << "one at a time";
}

TEST_F(EngineTenantsTest, ASourceThatIsAskedForAPodsRightsOnlyHasItsTimeToo) {
  AddFile("org/private", "model.safetensors", PatternBytes(kMiB, 73));
  AddFile("org/private", ".fixture.json", R"({"private": true})");
  hub_->Rescan();
  std::string pinned = std::string(kPrivate) + "@" + hub_->Commit("org/private");
  ASSERT_OK_AND_ASSIGN(brought, Acquire(Request(pinned, "hf_right")));
  options_.longest_question = std::chrono::milliseconds(300);
  OpenEngine(options_);
  PauseHub();
  auto began = std::chrono::steady_clock::now();
  Result<AcquiredTree> tree = Acquire(Request(pinned, "hf_other"));
  hub_->ClearFaults();
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code, Code::kUnavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - began, kSoon);
}

/// A bucket of one object, for everybody.
ScriptedServer::Script Bucket(const std::string& object) {
  return [object](const ScriptedServer::Request& request) -> ScriptedServer::Reply {
    if (request.target.contains("list-type=2")) {
      return {HttpAnswer(
          200, {},
          fmt::format("<ListBucketResult><Contents><Key>model/w.safetensors</Key><Size>{}</Size>"
                      "<ETag>\"e\"</ETag></Contents></ListBucketResult>",
                      object.size()))};
    }
    std::string head =
        fmt::format("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n", object.size());
    if (request.method == "HEAD") return {head};
    if (!request.head.contains("Range: bytes=")) return {head + object};
    size_t end = request.head.contains("Range: bytes=0-0\r\n") ? 1 : object.size();
    return {HttpAnswer(
        206, {"ETag: \"e\"", fmt::format("Content-Range: bytes 0-{}/{}", end - 1, object.size())},
        object.substr(0, end))};
  };
}

TEST_F(EngineTenantsTest, AnEndpointOfItsOwnChangesNothingForThoseWhoUseTheNodes) {
  constexpr const char* kUri = "s3://bucket/model";
  auto nodes = std::make_unique<ScriptedServer>(Bucket("the node's"));
  ScriptedServer tenants(Bucket("another's"));
  options_.buckets.s3_endpoint = nodes->Url("");
  OpenEngine(options_);
  ASSERT_OK_AND_ASSIGN(first, Acquire(Request(kUri)));
  AcquireRequest own = Request(kUri);
  own.credentials.values["AWS_ENDPOINT_URL"] = tenants.Url("");
  ASSERT_OK_AND_ASSIGN(second, Acquire(own));
  EXPECT_EQ(Read(second, "w.safetensors"), "another's");
  nodes.reset();
  for (int starts = 0; starts < 2; ++starts) {
    ASSERT_OK_AND_ASSIGN(again, Acquire(Request(kUri)));
    EXPECT_EQ(again.snapshot_id, first.snapshot_id);
    EXPECT_EQ(again.served_from, AcquiredTree::ServedFrom::kCache);
    OpenEngine(options_);
  }
  for (const SnapshotView& view : engine_->List()) EXPECT_THAT(view.references, Contains(kUri));
}

}  // namespace
}  // namespace weighhouse
