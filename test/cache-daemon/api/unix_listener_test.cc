#include "cache-daemon/api/unix_listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::api {
namespace {

using ::testing::HasSubstr;

class UnixListenerTest : public ::testing::Test {
 protected:
  UnixListenerTest() {
    std::string pattern = ::testing::TempDir() + "/listener.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    path_ = directory_ + "/s.sock";
  }
  ~UnixListenerTest() override { std::filesystem::remove_all(directory_); }

  /// A socket file that nobody listens on, as a killed daemon leaves it.
  void LeaveStaleSocket() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = Address();
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }

  UniqueFd Connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = Address();
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
    return fd;
  }

  sockaddr_un Address() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }

  std::string directory_, path_;
};

TEST_F(UnixListenerTest, ListensWithModeGroupOnly) {
  Result<UnixListener> listener = UnixListener::Bind(path_);
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777u, 0660u);
  EXPECT_TRUE(Connect());
}

TEST_F(UnixListenerTest, RemovesItsNameWhenDestroyed) {
  {
    ASSERT_TRUE(UnixListener::Bind(path_));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(UnixListenerTest, ReplacesAStaleSocket) {
  LeaveStaleSocket();
  Result<UnixListener> listener = UnixListener::Bind(path_);
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(Connect());
}

TEST_F(UnixListenerTest, LeavesALivingListenerAlone) {
  Result<UnixListener> first = UnixListener::Bind(path_);
  ASSERT_TRUE(first);
  Result<UnixListener> second = UnixListener::Bind(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
  EXPECT_THAT(second.error().message, HasSubstr("another process listens on " + path_));
  EXPECT_TRUE(Connect());
}

TEST_F(UnixListenerTest, LeavesAFileAlone) {
  std::ofstream(path_) << "precious";
  Result<UnixListener> listener = UnixListener::Bind(path_);
  ASSERT_FALSE(listener);
  EXPECT_THAT(listener.error().message, HasSubstr("is not a socket"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST_F(UnixListenerTest, LeavesASuccessorsSocketAlone) {
  Result<UnixListener> first = UnixListener::Bind(path_);
  ASSERT_TRUE(first);
  std::filesystem::rename(path_, directory_ + "/old");
  Result<UnixListener> second = UnixListener::Bind(path_);
  ASSERT_TRUE(second);
  {
    UnixListener gone = std::move(*first);
  }
  EXPECT_TRUE(Connect());
}

TEST_F(UnixListenerTest, RefusesAPathThatDoesNotFit) {
  Result<UnixListener> listener = UnixListener::Bind("/" + std::string(200, 'x'));
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, Code::kInvalidArgument);
  EXPECT_THAT(listener.error().message, HasSubstr("unix sockets allow 107"));
}

TEST_F(UnixListenerTest, HandsOverConnectionsWithTheirPeer) {
  Result<UnixListener> listener = UnixListener::Bind(path_);
  ASSERT_TRUE(listener);
  std::promise<Peer> peer;
  std::vector<Acceptor::Route> routes;
  routes.push_back(
      {.listener = std::move(*listener), .take = [&peer](UniqueFd connection, Peer from) {
         EXPECT_TRUE(::fcntl(connection.get(), F_GETFL) & O_NONBLOCK);
         peer.set_value(from);
       }});
  Result<std::unique_ptr<Acceptor>> acceptor = Acceptor::Start(std::move(routes));
  ASSERT_TRUE(acceptor);
  UniqueFd connection = Connect();
  ASSERT_TRUE(connection);
  Peer from = peer.get_future().get();
  EXPECT_EQ(from.uid, ::geteuid());
  EXPECT_EQ(from.pid, ::getpid());
  acceptor->reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace weighhouse::api
