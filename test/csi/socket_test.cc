#include "csi/socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {
namespace {

using testing::HasSubstr;

class SocketTest : public testing::Test {
 protected:
  UniqueFd Listen() const {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd.get(), 1), 0);
    return fd;
  }
  TemporaryDirectory directory_;
  std::string path_ = (directory_.path() / "s").string();
};

TEST_F(SocketTest, AFreePathIsFine) { EXPECT_TRUE(PrepareSocketPath(path_).has_value()); }

TEST_F(SocketTest, AStaleSocketIsRemoved) {
  Listen();
  ASSERT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(PrepareSocketPath(path_).has_value());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SocketTest, ASocketThatSomebodyAnswersOnIsLeftAlone) {
  UniqueFd listener = Listen();
  EXPECT_THAT(PrepareSocketPath(path_).error().message, HasSubstr("another process answers"));
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(SocketTest, WhatIsNoSocketIsLeftAlone) {
  WriteTestFile(path_, "precious");
  EXPECT_THAT(PrepareSocketPath(path_).error().message, HasSubstr("no socket"));
  EXPECT_EQ(ReadTestFile(path_), "precious");
}

TEST_F(SocketTest, AMissingDirectoryIsNamed) {
  EXPECT_THAT(PrepareSocketPath((directory_.path() / "no/s").string()).error().message,
              HasSubstr((directory_.path() / "no").string()));
}

}  // namespace
}  // namespace weighhouse::csi
