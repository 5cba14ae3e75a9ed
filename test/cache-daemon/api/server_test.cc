#include <thread>

#include <gmock/gmock.h>

#include "base/log_context.h"
#include "test/cache-daemon/api/server_fixture.h"

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST_F(ServerTest, StreamsProgressAndEndsWithReady) {
  grpc::ClientContext context;
  auto stream = node_->Acquire(&context, AcquireOf("hf://org/name"));
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  pb::AcquireUpdate update;
  observer->OnResolving();
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_TRUE(update.has_resolving());
  observer->OnFilling("id", "rev", Done(10));
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_EQ(update.filling().bytes_done(), 10u);
  observer->OnDone(AcquiredTree{.snapshot_id = "id", .tree = "trees/files/id", .bytes = 1000});
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_EQ(update.ready().tree(), "trees/files/id");
  EXPECT_FALSE(stream->Read(&update)) << "ready is the last message";
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ServerTest, NewestProgressWinsWhenTheReaderIsSlow) {
  constexpr Bytes kUpdates = 200000;
  grpc::ClientContext context;
  auto stream = node_->Acquire(&context, AcquireOf("hf://org/name"));
  auto observer = engine_.WaitForAcquire(0).observer.lock();
  ASSERT_TRUE(observer);
  for (Bytes i = 1; i <= kUpdates; ++i) observer->OnFilling("id", "rev", Done(i));
  observer->OnDone(AcquiredTree{.tree = "trees/files/id"});
  pb::AcquireUpdate update;
  size_t messages = 0;
  Bytes last = 0;
  bool ready = false;
  while (stream->Read(&update)) {
    ++messages;
    ready = update.has_ready();
    if (!ready) {
      EXPECT_GT(update.filling().bytes_done(), last) << "progress never goes back";
      last = update.filling().bytes_done();
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(ready);
  EXPECT_LT(messages, kUpdates) << "what nobody had read yet was replaced";
}

TEST_F(ServerTest, BringsTheEnginesErrorWithItsCode) {
  engine_.on_acquire = [](const AcquireRequest&, AcquireObserver& observer) {
    observer.OnDone(Fail(Code::kPermissionDenied, "hf://org/name is gated"));
  };
  grpc::ClientContext context;
  auto stream = node_->Acquire(&context, AcquireOf("hf://org/name"));
  pb::AcquireUpdate update;
  EXPECT_FALSE(stream->Read(&update));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(), "hf://org/name is gated");
  EXPECT_EQ(context.GetServerTrailingMetadata().count("weighhouse-answered"), 1u);
}

TEST_F(ServerTest, AnAcquireIsWorkedOnUnderItsCallersRequestIdOrANewOne) {
  LogContext seen;
  engine_.on_acquire = [&seen](const AcquireRequest&, AcquireObserver& observer) {
    seen = LogContext::Current();
    observer.OnDone(Fail(Code::kUnavailable, "away"));
  };
  auto request_for = [&](const std::string& given) {
    grpc::ClientContext context;
    if (!given.empty()) context.AddMetadata("x-request-id", given);
    pb::AcquireRequest request = AcquireOf("hf://org/name");
    request.mutable_holder()->set_volume_id("volume-1");
    auto stream = node_->Acquire(&context, request);
    static_cast<void>(stream->Finish());
    return std::string(seen.request());
  };
  EXPECT_EQ(request_for("0123456789abcdef"), "0123456789abcdef");
  EXPECT_EQ(seen.Find("volume"), "volume-1");
  EXPECT_TRUE(seen.Find("model").starts_with("hf://org/name"));
  for (const char* bad : {"", "0123456789ABCDEF", "short", "0123456789abcdef 1"}) {
    std::string made = request_for(bad);
    EXPECT_TRUE(IsRequestId(made)) << made;
    EXPECT_NE(made, bad);
  }
}

TEST_F(ServerTest, ACallThatAWorkerServesHasItToo) {
  std::string given = "fedcba9876543210", seen;
  engine_.on_delete = [&seen] { seen = LogContext::Current().request(); };
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", given);
  pb::DeleteVolumeRequest request;
  request.set_volume_id("volume-1");
  pb::DeleteVolumeResponse response;
  ASSERT_TRUE(node_->DeleteVolume(&context, request, &response).ok());
  EXPECT_EQ(seen, given);
}

TEST_F(ServerTest, AnInvalidAcquireNeverReachesTheEngine) {
  grpc::ClientContext context;
  auto stream = node_->Acquire(&context, AcquireOf("nonsense"));
  pb::AcquireUpdate update;
  EXPECT_FALSE(stream->Read(&update));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, ACallerThatLeavesDetachesItsObserver) {
  grpc::ClientContext context;
  auto stream = node_->Acquire(&context, AcquireOf("hf://org/name"));
  std::weak_ptr<AcquireObserver> observer = engine_.WaitForAcquire(0).observer;
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!observer.expired() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_TRUE(observer.expired());
}

TEST_F(ServerTest, ManyCallersMayLeaveWhileTheEngineSpeaks) {
  for (size_t i = 0; i < 50; ++i) {
    grpc::ClientContext context;
    auto stream = node_->Acquire(&context, AcquireOf("hf://org/name"));
    std::weak_ptr<AcquireObserver> weak = engine_.WaitForAcquire(i).observer;
    std::jthread speaker([weak] {
      for (Bytes n = 0; n < 1000; ++n) {
        if (auto observer = weak.lock()) observer->OnFilling("id", "rev", Done(n));
      }
      if (auto observer = weak.lock()) observer->OnDone(AcquiredTree{});
    });
    pb::AcquireUpdate update;
    stream->Read(&update);
    context.TryCancel();
    stream->Finish();
  }
}

TEST_F(ServerTest, CountsEachCallByMethodAndCode) {
  engine_.on_acquire = [](const AcquireRequest&, AcquireObserver& observer) {
    observer.OnDone(AcquiredTree{.tree = "trees/files/id"});
  };
  pb::AcquireUpdate update;
  for (const char* model : {"hf://org/name", "hf://org/other", "nonsense"}) {
    grpc::ClientContext context;
    auto stream = node_->Acquire(&context, AcquireOf(model));
    while (stream->Read(&update)) continue;
    stream->Finish();
  }
  pb::ListResponse listed;
  for (pb::Cache::Stub* stub : {node_.get(), admin_.get()}) {
    grpc::ClientContext context;
    stub->List(&context, {}, &listed);
  }
  EXPECT_EQ(Calls("Acquire", "OK"), "2");
  EXPECT_EQ(Calls("Acquire", "INVALID_ARGUMENT"), "1");
  EXPECT_EQ(Calls("List", "OK"), "1");
  EXPECT_EQ(Calls("List", "PERMISSION_DENIED"), "1");
}

TEST_F(ServerTest, TheNodeSocketRefusesWhatIsForAdmins) {
  pb::ListResponse listed;
  pb::StatResponse stat;
  pb::EvictResponse evicted;
  pb::PrefetchResponse prefetched;
  auto code = [](auto call) {
    grpc::ClientContext context;
    return call(&context).error_code();
  };
  auto denied = grpc::StatusCode::PERMISSION_DENIED;
  EXPECT_EQ(code([&](auto* c) { return node_->List(c, {}, &listed); }), denied);
  EXPECT_EQ(code([&](auto* c) { return node_->Stat(c, {}, &stat); }), denied);
  EXPECT_EQ(code([&](auto* c) { return node_->Evict(c, {}, &evicted); }), denied);
  EXPECT_EQ(code([&](auto* c) { return node_->Prefetch(c, {}, &prefetched); }), denied);
  EXPECT_EQ(code([&](auto* c) { return node_->Verify(c, {})->Finish(); }), denied);
}

TEST_F(ServerTest, TheNodeSocketServesWhatThePluginNeeds) {
  pb::ReleaseRequest release;
  release.set_lease_id(kLease);
  pb::ReleaseResponse released;
  pb::InfoResponse info;
  pb::CapacityResponse capacity;
  pb::SyncLeasesRequest sync;
  sync.set_epoch_unix_ms(5);
  pb::SyncLeasesResponse synced;
  grpc::ClientContext contexts[4];
  ASSERT_TRUE(node_->Release(&contexts[0], release, &released).ok());
  EXPECT_EQ(engine_.released, kLease);
  ASSERT_TRUE(node_->Info(&contexts[1], {}, &info).ok());
  EXPECT_EQ(info.root(), "/cache");
  EXPECT_FALSE(info.version().empty());
  EXPECT_EQ(info.recent_errors_size(), 0) << "they name models and pods, and are for admins";
  ASSERT_TRUE(node_->Capacity(&contexts[2], {}, &capacity).ok());
  EXPECT_EQ(capacity.available(), 60 * kGiB);
  ASSERT_TRUE(node_->SyncLeases(&contexts[3], sync, &synced).ok());
  EXPECT_EQ(synced.dropped(), 2u);
}

TEST_F(ServerTest, RecentErrorsAreForAdmins) {
  grpc::ClientContext admins, watchers;
  pb::InfoResponse info;
  ASSERT_TRUE(admin_->Info(&admins, {}, &info).ok());
  ASSERT_EQ(info.recent_errors_size(), 1);
  EXPECT_EQ(info.recent_errors(0).message(), "hf://org/name: gone");
  ASSERT_TRUE(watch_->Info(&watchers, {}, &info).ok());
  EXPECT_EQ(info.recent_errors_size(), 0);
}

TEST_F(ServerTest, TheAdminSocketListsAndEvicts) {
  engine_.snapshots.push_back(FakeSnapshot("org/name", 12 * kMiB, true));
  engine_.evict_outcome = Engine::EvictOutcome{.snapshots = 1, .bytes = 12 * kMiB};
  grpc::ClientContext list_context, evict_context, both_context;
  pb::ListResponse listed;
  ASSERT_TRUE(admin_->List(&list_context, {}, &listed).ok());
  ASSERT_EQ(listed.snapshots_size(), 1);
  pb::EvictRequest request;
  request.set_model("hf://org/name");
  pb::EvictResponse evicted;
  ASSERT_TRUE(admin_->Evict(&evict_context, request, &evicted).ok());
  EXPECT_EQ(engine_.evicted_model, "hf://org/name");
  EXPECT_EQ(evicted.bytes_freed(), 12 * kMiB);
  request.set_snapshot_id(kLease);
  EXPECT_EQ(admin_->Evict(&both_context, request, &evicted).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, VerifySendsEveryFindingAndThenTheSums) {
  constexpr int kFindings = 500;  // more than wait in the stream's queue
  for (int i = 0; i < kFindings; ++i) {
    engine_.findings.push_back(
        {.blob = Digest::Of(std::to_string(i)), .found = "other", .paths = {}});
  }
  engine_.verify_outcome = VerifySums{.blobs = 1000, .bad = kFindings, .bytes = 5};
  grpc::ClientContext context;
  auto stream = admin_->Verify(&context, {});
  pb::VerifyUpdate update;
  for (int i = 0; i < kFindings; ++i) {
    ASSERT_TRUE(stream->Read(&update));
    EXPECT_EQ(update.finding().sha256(), Digest::Of(std::to_string(i)).Hex());
  }
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_EQ(update.sums().bad(), static_cast<uint64_t>(kFindings));
  EXPECT_FALSE(stream->Read(&update));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ServerTest, VerifySaysHowFarItIsAndPassesTheRateOn) {
  engine_.verify_progress = {.blobs = 1, .blobs_total = 3, .bytes = 5, .bytes_total = 9};
  pb::VerifyRequest request;
  request.set_bytes_per_second(0);
  grpc::ClientContext context;
  auto stream = admin_->Verify(&context, request);
  pb::VerifyUpdate update;
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_EQ(update.progress().blobs_total(), 3U);
  EXPECT_EQ(update.progress().bytes(), 5U);
  ASSERT_TRUE(stream->Read(&update));
  EXPECT_TRUE(update.has_sums());
  EXPECT_FALSE(stream->Read(&update));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(engine_.verified->bytes_per_second, Bytes{0});
}

TEST_F(ServerTest, EvictsTheQuarantine) {
  engine_.quarantine_freed = 4096;
  pb::EvictRequest request;
  request.set_quarantine(true);
  pb::EvictResponse evicted;
  grpc::ClientContext context;
  ASSERT_TRUE(admin_->Evict(&context, request, &evicted).ok());
  EXPECT_EQ(evicted.bytes_freed(), 4096U);
  EXPECT_EQ(engine_.evicted_model, "");
  request.set_model("hf://org/name");
  grpc::ClientContext both_context;
  EXPECT_EQ(admin_->Evict(&both_context, request, &evicted).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, ALeavingCallerStopsItsVerify) {
  engine_.verify_endlessly = true;
  grpc::ClientContext first_context, second_context;
  auto first = admin_->Verify(&first_context, {});
  engine_.WaitForVerify();
  first_context.TryCancel();
  first->Finish();
  // One worker verifies: the second would wait for ever behind the first.
  auto second = admin_->Verify(&second_context, {});
  second_context.TryCancel();
  EXPECT_EQ(second->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ServerTest, DrainEndsStreamsAsTemporary) {
  grpc::ClientContext context;
  auto stream = node_->Acquire(&context, AcquireOf("hf://org/name"));
  engine_.WaitForAcquire(0);
  server_->Drain(10s);
  pb::AcquireUpdate update;
  EXPECT_FALSE(stream->Read(&update));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "the sockets are gone";
}

TEST_F(ServerTest, DrainStopsAVerify) {
  engine_.verify_endlessly = true;
  grpc::ClientContext context;
  auto stream = admin_->Verify(&context, {});
  engine_.WaitForVerify();
  server_->Drain(10s);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, ASecondServerSaysWhoHasTheSocket) {
  Result<std::unique_ptr<Server>> second = Server::Start(engine_, {.socket_directory = directory_});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another process listens on " + directory_));
}

TEST(InProcessServerTest, ServesAnAdminWithoutASocket) {
  FakeEngine engine;
  Result<std::unique_ptr<Server>> server = Server::StartInProcess(engine);
  ASSERT_TRUE(server);
  auto stub = pb::Cache::NewStub((*server)->InProcessChannel());
  grpc::ClientContext context;
  pb::ListResponse listed;
  EXPECT_TRUE(stub->List(&context, {}, &listed).ok());
}

}  // namespace
}  // namespace weighhouse::api
