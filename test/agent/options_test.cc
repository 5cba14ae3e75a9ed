#include "agent/options.h"

#include <cstdlib>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::agent {
namespace {

using testing::HasSubstr;

class OptionsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"NODE_NAME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
                             "KUBERNETES_SERVICE_PORT_HTTPS", "WEIGHHOUSE_NODE_LABELS"}) {
      ::unsetenv(name);
    }
  }
  static CommandLine Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "agent");
    return ParseCommandLine(static_cast<int>(arguments.size()), arguments.data());
  }
  static std::string MistakeOf(std::vector<const char*> arguments) {
    testing::internal::CaptureStderr();
    CommandLine line = Parse(std::move(arguments));
    std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(line.exit_code, 2);
    return text;
  }
};

TEST_F(OptionsTest, ComeFromAPodsEnvironment) {
  ::setenv("NODE_NAME", "node-1", 1);
  ::setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  CommandLine line = Parse({});
  ASSERT_EQ(line.exit_code, std::nullopt);
  EXPECT_EQ(line.options.node_name, "node-1");
  EXPECT_EQ(line.options.api_server, "https://10.96.0.1:443");
  EXPECT_EQ(line.options.node_labels, std::nullopt);
  EXPECT_EQ(line.options.update_interval, std::chrono::seconds(10));
  ::setenv("WEIGHHOUSE_NODE_LABELS", "32", 1);
  EXPECT_EQ(Parse({}).options.node_labels, 32U);
  ::setenv("WEIGHHOUSE_NODE_LABELS", "many", 1);
  EXPECT_THAT(MistakeOf({}), HasSubstr("many"));
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  ::setenv("KUBERNETES_SERVICE_PORT_HTTPS", "6443", 1);
  EXPECT_EQ(ApiServerOfEnvironment(), "https://[fd00::1]:6443");
}

TEST_F(OptionsTest, TakeFlags) {
  CommandLine line = Parse({"--node-name=n", "--api-server=https://h", "--node-labels", "0",
                            "--label-interval=2", "--watch-socket=/w", "--log-format=json"});
  ASSERT_EQ(line.exit_code, std::nullopt);
  EXPECT_EQ(line.options.node_labels, 0U);
  EXPECT_EQ(line.options.label_interval, std::chrono::seconds(2));
  EXPECT_EQ(line.options.watch_socket, "/w");
  EXPECT_EQ(line.options.log_format, LogFormat::kJson);
}

TEST_F(OptionsTest, RefuseWhatIsMissingOrWrongAndSayTheWayOut) {
  EXPECT_THAT(MistakeOf({}), HasSubstr("--node-name ''"));
  EXPECT_THAT(MistakeOf({"--node-name=n"}), HasSubstr("--api-server: give"));
  EXPECT_THAT(MistakeOf({"--node-name=n\n", "--api-server=https://h"}), HasSubstr("'n?'"));
  EXPECT_THAT(MistakeOf({"--node-labels=65"}), HasSubstr("65"));
  EXPECT_THAT(MistakeOf({"--node-lables=3"}), HasSubstr("did you mean --node-labels?"));
  EXPECT_THAT(MistakeOf({"--update-interval=0"}), HasSubstr("0"));
  EXPECT_THAT(MistakeOf({"--log-format=xml"}), HasSubstr("xml"));
  EXPECT_THAT(MistakeOf({"--probe"}), HasSubstr("--heartbeat"));
}

TEST_F(OptionsTest, NeedNoNodeToProbe) {
  EXPECT_EQ(Parse({"--probe", "--heartbeat=/h"}).exit_code, std::nullopt);
}

}  // namespace
}  // namespace weighhouse::agent
