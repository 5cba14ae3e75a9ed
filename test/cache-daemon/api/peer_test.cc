#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "cache-daemon/api/server.h"
#include "proto/cache.grpc.pb.h"
#include "test/cache-daemon/api/fake_engine.h"

namespace weighhouse::api {
namespace {

namespace pb = ::weighhouse::cache::v1;

constexpr uid_t kStranger = 64199;
constexpr uid_t kFriend = 64198;
constexpr uid_t kWatcher = 64197;

/// What Info on a socket answers to `uid`, asked by a child that waits for `go` before its first
/// gRPC call: the child is made before this process has threads.
class Caller {
 public:
  Caller(uid_t uid, const std::string& socket) {
    if (::pipe(go_) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ != 0) return;
    char byte = 0;
    bool ready = ::read(go_[0], &byte, 1) == 1 && ::setgid(uid) == 0 && ::setuid(uid) == 0;
    ::_exit(ready ? Ask(socket) : 99);
  }
  grpc::StatusCode Code() {
    EXPECT_EQ(::write(go_[1], "!", 1), 1);
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    return static_cast<grpc::StatusCode>(WEXITSTATUS(status));
  }

 private:
  static int Ask(const std::string& socket) {
    auto channel = grpc::CreateChannel("unix://" + socket, grpc::InsecureChannelCredentials());
    auto stub = pb::Cache::NewStub(channel);
    grpc::ClientContext context;
    pb::InfoResponse info;
    return stub->Info(&context, {}, &info).error_code();
  }

  int go_[2] = {-1, -1};
  pid_t pid_ = -1;
};

TEST(PeerTest, OnlyRootTheOwnerAndTheAllowedComeIn) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string directory = "/tmp/weighhouse-peer.XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  std::string admin = directory + "/admin.sock", watch = directory + "/watch.sock";
  Caller stranger(kStranger, admin), allowed(kFriend, admin), root(0, admin);
  Caller watcher_at_admin(kWatcher, admin);
  Caller stranger_at_watch(kStranger, watch), friend_at_watch(kFriend, watch);
  Caller watcher(kWatcher, watch), root_at_watch(0, watch);

  FakeEngine engine;
  Result<std::unique_ptr<Server>> server = Server::Start(
      engine,
      {.socket_directory = directory, .allowed_uids = {kFriend}, .allowed_watch_uids = {kWatcher}});
  ASSERT_TRUE(server);
  // As if all were in the socket's group: the mode alone would let them in.
  ASSERT_EQ(::chmod(admin.c_str(), 0666), 0);
  ASSERT_EQ(::chmod(watch.c_str(), 0666), 0);
  EXPECT_EQ(stranger.Code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(allowed.Code(), grpc::StatusCode::OK);
  EXPECT_EQ(root.Code(), grpc::StatusCode::OK);
  EXPECT_EQ(watcher_at_admin.Code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(stranger_at_watch.Code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(friend_at_watch.Code(), grpc::StatusCode::PERMISSION_DENIED) << "a list of its own";
  EXPECT_EQ(watcher.Code(), grpc::StatusCode::OK);
  EXPECT_EQ(root_at_watch.Code(), grpc::StatusCode::OK);
  server->reset();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weighhouse::api
