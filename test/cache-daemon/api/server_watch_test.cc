#include <vector>

#include <gmock/gmock.h>

#include "cache-daemon/api/publish_watch.h"
#include "test/cache-daemon/api/server_fixture.h"

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// Those who watch, over a FakeEngine.
class ServerWatchTest : public ServerTest {
 protected:
  /// One call that goes on until it is destroyed.
  struct Watch {
    explicit Watch(pb::Cache::Stub& stub) : stream(stub.WatchPublishes(&context, {})) {}
    ~Watch() { context.TryCancel(); }
    pb::PublishesUpdate Read() {
      pb::PublishesUpdate update;
      EXPECT_TRUE(stream->Read(&update)) << stream->Finish().error_message();
      return update;
    }
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<pb::PublishesUpdate>> stream;
  };

  static PublishView Publish(decltype(PublishView::state) state) {
    return {.lease_id = kLease,
            .holder = {.pod_namespace = "team", .pod_name = "pod", .pod_uid = "uid"},
            .model = "hf://org/name",
            .since = std::chrono::system_clock::time_point(1500ms),
            .state = std::move(state)};
  }
  static PublishView Filling(Bytes done) {
    return Publish(PublishView::Filling{"id", "rev", Done(done)});
  }

  /// Why a unary call is refused, or "".
  template <class Request, class Response>
  std::string Denied(grpc::Status (pb::Cache::Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                     pb::Cache::Stub& stub) {
    grpc::ClientContext context;
    Response response;
    grpc::Status status = (stub.*method)(&context, Request(), &response);
    return status.error_code() == grpc::StatusCode::PERMISSION_DENIED ? status.error_message() : "";
  }
};

TEST_F(ServerWatchTest, TellsAllAtOnceAndThenWhatChangedOnceASecond) {
  engine_.SetPublishes({Publish(PublishView::Resolving{})});
  Watch watch(*watch_);
  pb::PublishesUpdate first = watch.Read();
  ASSERT_EQ(first.publishes_size(), 1);
  const pb::Publish& publish = first.publishes(0);
  EXPECT_TRUE(publish.has_resolving());
  EXPECT_EQ(publish.lease_id(), kLease);
  EXPECT_EQ(publish.holder().pod_namespace(), "team");
  EXPECT_EQ(publish.holder().pod_name(), "pod");
  EXPECT_EQ(publish.holder().pod_uid(), "uid");
  EXPECT_EQ(publish.model(), "hf://org/name");
  EXPECT_EQ(publish.since_unix_ms(), 1500);
  engine_.SetPublishes({Filling(10)});
  EXPECT_EQ(watch.Read().publishes(0).filling().bytes_done(), 10u);
  EXPECT_GE(engine_.Looked(), PublishWatch::kPause);
}

TEST_F(ServerWatchTest, TellsNothingWhileNothingChanges) {
  engine_.SetPublishes({Filling(10)});
  Watch watch(*admin_);
  EXPECT_EQ(watch.Read().publishes(0).filling().bytes_done(), 10u);
  engine_.WaitForLook();
  engine_.SetPublishes({});
  EXPECT_EQ(watch.Read().publishes_size(), 0) << "it said the same again";
}

TEST_F(ServerWatchTest, OneWhoComesHearsAtOnceAndNobodyElseSooner) {
  engine_.SetPublishes({Filling(10)});
  Watch first(*watch_);
  first.Read();
  engine_.SetPublishes({Filling(20)});
  Watch second(*watch_);
  EXPECT_EQ(second.Read().publishes(0).filling().bytes_done(), 20u);
  EXPECT_EQ(first.Read().publishes(0).filling().bytes_done(), 20u);
  EXPECT_GE(engine_.Looked(), PublishWatch::kPause);
}

TEST_F(ServerWatchTest, SaysHowAPublishEnded) {
  engine_.SetPublishes(
      {Publish(PublishView::Ready{.took = 2500ms, .cold = true, .bytes = 1000}),
       Publish(PublishView::Refused{{Code::kPermissionDenied, std::string(5000, 'x')}})});
  Watch watch(*watch_);
  pb::PublishesUpdate update = watch.Read();
  ASSERT_EQ(update.publishes_size(), 2);
  EXPECT_EQ(update.publishes(0).ready().milliseconds(), 2500u);
  EXPECT_TRUE(update.publishes(0).ready().cold());
  EXPECT_EQ(update.publishes(0).ready().bytes(), 1000u);
  EXPECT_EQ(update.publishes(1).refused().code(), 7u);
  EXPECT_EQ(update.publishes(1).refused().message().substr(0, 3), "xxx");
  EXPECT_LE(update.publishes(1).refused().message().size(), 1024u) << "all of them are one message";
}

TEST_F(ServerWatchTest, TheWatchSocketOnlyLooks) {
  grpc::ClientContext list, info;
  pb::ListResponse listed;
  pb::InfoResponse told;
  EXPECT_TRUE(watch_->List(&list, {}, &listed).ok());
  EXPECT_TRUE(watch_->Info(&info, {}, &told).ok());
  using Stub = pb::Cache::Stub;
  std::string denied = "is not served on the watch socket: use the admin socket";
  EXPECT_THAT(Denied(&Stub::Release, *watch_), HasSubstr("Release " + denied));
  EXPECT_THAT(Denied(&Stub::SyncLeases, *watch_), HasSubstr("SyncLeases " + denied));
  EXPECT_THAT(Denied(&Stub::CreateVolume, *watch_), HasSubstr("CreateVolume " + denied));
  EXPECT_THAT(Denied(&Stub::DeleteVolume, *watch_), HasSubstr("DeleteVolume " + denied));
  EXPECT_THAT(Denied(&Stub::GetVolume, *watch_), HasSubstr("GetVolume " + denied));
  EXPECT_THAT(Denied(&Stub::Prefetch, *watch_), HasSubstr("Prefetch " + denied));
  EXPECT_THAT(Denied(&Stub::Evict, *watch_), HasSubstr("Evict " + denied));
  EXPECT_THAT(Denied(&Stub::Stat, *watch_), HasSubstr("Stat " + denied));
  EXPECT_THAT(Denied(&Stub::Capacity, *watch_), HasSubstr("Capacity " + denied));
  grpc::ClientContext acquire, verify;
  EXPECT_THAT(watch_->Acquire(&acquire, AcquireOf("hf://org/name"))->Finish().error_message(),
              HasSubstr("Acquire " + denied));
  EXPECT_THAT(watch_->Verify(&verify, {})->Finish().error_message(), HasSubstr("Verify " + denied));
}

TEST_F(ServerWatchTest, TheNodeSocketShowsNoPublishes) {
  grpc::ClientContext context;
  grpc::Status status = node_->WatchPublishes(&context, {})->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("node socket"));
  EXPECT_THAT(Denied(&pb::Cache::Stub::List, *node_), HasSubstr("node socket"));
}

TEST_F(ServerWatchTest, TooManyWatchersAreSentAwayUntilOneLeaves) {
  std::vector<std::unique_ptr<Watch>> watches;
  for (size_t i = 0; i < PublishWatch::kMostWatchers; ++i) {
    watches.push_back(std::make_unique<Watch>(*watch_));
    watches.back()->Read();
  }
  grpc::ClientContext context;
  grpc::Status status = admin_->WatchPublishes(&context, {})->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("8 watch publishes already"));
  watches.pop_back();
  auto deadline = std::chrono::steady_clock::now() + 1min;
  bool came = false;
  while (!came && std::chrono::steady_clock::now() < deadline) {
    Watch watch(*admin_);  // the server hears of the other's leaving when it does
    pb::PublishesUpdate update;
    came = watch.stream->Read(&update);
  }
  EXPECT_TRUE(came);
}

TEST_F(ServerWatchTest, DrainEndsTheWatch) {
  Watch watch(*watch_);
  watch.Read();
  server_->Drain(10s);
  pb::PublishesUpdate update;
  EXPECT_FALSE(watch.stream->Read(&update));
  EXPECT_EQ(watch.stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace weighhouse::api
