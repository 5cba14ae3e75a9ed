#include "agent/api_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/support/temporary_directory.h"

namespace weighhouse::agent {
namespace {

using testing::HasSubstr;

TEST(ConnectToClusterTest, TakesNothingButAnHttpsServer) {
  for (const char* url : {"http://10.96.0.1", "https://10.96.0.1/proxy", "https://10.96.0.1?a=b",
                          "10.96.0.1:443", "", "https://"}) {
    Result<std::unique_ptr<ApiServer>> api = ConnectToCluster({.url = url, .directory = "/none"});
    ASSERT_FALSE(api.has_value()) << url;
    EXPECT_EQ(api.error().code, Code::kInvalidArgument) << url;
    EXPECT_THAT(api.error().message, HasSubstr("KUBERNETES_SERVICE_HOST"));
  }
  for (const char* url : {"https://10.96.0.1", "https://[fd00::1]:6443", "https://api.example/"}) {
    EXPECT_TRUE(ConnectToCluster({.url = url, .directory = "/none"}).has_value()) << url;
  }
}

class ClusterTokenTest : public testing::Test {
 protected:
  /// The error of a request with this in the token's file. Nothing listens at the address.
  Error With(const std::string& token) {
    WriteTestFile(directory_ / "token", token);
    auto api = ConnectToCluster({.url = "https://127.0.0.1:1", .directory = directory_.path()});
    return (*api)->Send({.path = "/api/v1/nodes/n"}, {}).error();
  }
  TemporaryDirectory directory_;
};

TEST_F(ClusterTokenTest, IsSentOnlyIfItIsOne) {
  EXPECT_EQ(With("ey.J.x\n").code, Code::kUnavailable);  // got as far as the server
  for (const std::string& none :
       {std::string(), std::string("\n"), std::string("a\r\nX-Evil: b"), std::string("a b"),
        std::string("\xc3\xa4"), std::string(65'537, 'a')}) {
    Error error = With(none);
    EXPECT_EQ(error.code, Code::kFailedPrecondition) << none.size();
    EXPECT_THAT(error.message, HasSubstr("/token' holds no service account token"));
    EXPECT_THAT(error.message, Not(HasSubstr("Evil")));
  }
}

TEST(StatusMessageTest, IsWhatAStatusSaysOrTheBodysStart) {
  EXPECT_EQ(StatusMessage({.status = 403, .body = R"({"message":"forbidden"})"}),
            "HTTP 403: forbidden");
  EXPECT_EQ(StatusMessage({.status = 502, .body = "bad\ngateway"}), "HTTP 502: bad?gateway");
  EXPECT_LT(StatusMessage({.status = 500, .body = std::string(5000, 'x')}).size(), 400U);
}

}  // namespace
}  // namespace weighhouse::agent
