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

/// What Info on the admin socket answers to `uid`, asked by a child that waits for `go` before its
/// first gRPC call: the child is made before this process has threads.
class Caller {
 public:
  Caller(uid_t uid, const std::string& directory) {
    if (::pipe(go_) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ != 0) return;
    char byte = 0;
    bool ready = ::read(go_[0], &byte, 1) == 1 && ::setgid(uid) == 0 && ::setuid(uid) == 0;
    ::_exit(ready ? Ask(directory) : 99);
  }
  grpc::StatusCode Code() {
    EXPECT_EQ(::write(go_[1], "!", 1), 1);
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    return static_cast<grpc::StatusCode>(WEXITSTATUS(status));
  }

 private:
  static int Ask(const std::string& directory) {
    auto channel = grpc::CreateChannel("unix://" + directory + "/admin.sock",
                                       grpc::InsecureChannelCredentials());
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
  Caller stranger(kStranger, directory), allowed(kFriend, directory), root(0, directory);

  FakeEngine engine;
  Result<std::unique_ptr<Server>> server =
      Server::Start(engine, {.socket_directory = directory, .allowed_uids = {kFriend}});
  ASSERT_TRUE(server);
  // As if all were in the socket's group: the mode alone would let them in.
  ASSERT_EQ(::chmod((directory + "/admin.sock").c_str(), 0666), 0);
  EXPECT_EQ(stranger.Code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(allowed.Code(), grpc::StatusCode::OK);
  EXPECT_EQ(root.Code(), grpc::StatusCode::OK);
  server->reset();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weighhouse::api
