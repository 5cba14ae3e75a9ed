#include "csi/options.h"

#include <cstdlib>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weighhouse::csi {
namespace {

using testing::HasSubstr;

CommandLine Parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "weighhouse-csi");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

std::string Refusal(Options options) {
  if (options.node_id.empty()) options.node_id = "n";
  Result<Options> checked = Validate(std::move(options));
  EXPECT_FALSE(checked.has_value());
  return checked ? "" : checked.error().message;
}

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    unsetenv("NODE_NAME");
    unsetenv("CSI_ENDPOINT");
  }
};

TEST_F(OptionsTest, LogsAreTextUnlessJsonIsAskedFor) {
  EXPECT_EQ(Parse({"--node-id=n"}).options.log_format, LogFormat::kText);
  EXPECT_EQ(Parse({"--node-id=n", "--log-format=text"}).options.log_format, LogFormat::kText);
  EXPECT_EQ(Parse({"--node-id=n", "--log-format=json"}).options.log_format, LogFormat::kJson);
  EXPECT_EQ(Parse({"--node-id=n", "--log-format=yaml"}).exit_code, 2);
}

TEST_F(OptionsTest, DefaultsAreTheDaemonSets) {
  CommandLine line = Parse({"--node-id=n"});
  ASSERT_FALSE(line.exit_code.has_value());
  EXPECT_EQ(line.options.endpoint, "unix:///csi/csi.sock");
  EXPECT_EQ(line.options.SocketPath(), "/csi/csi.sock");
  EXPECT_EQ(line.options.scratch_directory, "/var/lib/kubelet/plugins/csi.weighhouse.dev");
  EXPECT_EQ(line.options.publish_margin, std::chrono::seconds(10));
  EXPECT_EQ(line.options.publish_hold_limit, std::chrono::seconds(110));
}

TEST_F(OptionsTest, TheEnvironmentNamesNodeAndEndpoint) {
  setenv("NODE_NAME", "node-7", 1);
  setenv("CSI_ENDPOINT", "unix:/run/csi.sock", 1);
  CommandLine line = Parse({});
  ASSERT_FALSE(line.exit_code.has_value());
  EXPECT_EQ(line.options.node_id, "node-7");
  EXPECT_EQ(line.options.SocketPath(), "/run/csi.sock");
  EXPECT_EQ(Parse({"--node-id=other"}).options.node_id, "other");
}

TEST_F(OptionsTest, DurationsHaveUnits) {
  CommandLine line = Parse({"--node-id=n", "--publish-margin=250ms", "--publish-hold-limit=2m"});
  ASSERT_FALSE(line.exit_code.has_value());
  EXPECT_EQ(line.options.publish_margin, std::chrono::milliseconds(250));
  EXPECT_EQ(line.options.publish_hold_limit, std::chrono::minutes(2));
  EXPECT_NE(Parse({"--node-id=n", "--publish-margin=10"}).exit_code.value_or(0), 0);
}

TEST_F(OptionsTest, HelpAndErrorsEndTheProgram) {
  EXPECT_EQ(Parse({"--version"}).exit_code, 0);
  EXPECT_NE(Parse({"--no-such-flag"}).exit_code.value_or(0), 0);
  EXPECT_NE(Parse({}).exit_code.value_or(0), 0) << "no node id";
}

TEST_F(OptionsTest, AMistakeIsSaidWithItsValueAndTheWayOut) {
  auto complaint = [](const std::string& argument) {
    testing::internal::CaptureStderr();
    CommandLine line = Parse({"--node-id=n", argument});
    EXPECT_EQ(line.exit_code, 2) << argument;
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(
      complaint("--publish-margin=5"),
      "weighhouse-csi: --publish-margin: '5' is no duration: give a number and a unit, such as "
      "500ms, 10s or 2m\n");
  for (const char* wrong : {"s", "-1s", "10 parsecs", "99999999999999999999s", "1.5s"}) {
    EXPECT_THAT(complaint(std::string("--publish-margin=") + wrong), HasSubstr("such as 500ms"));
  }
  EXPECT_EQ(complaint("--kubelet-rot=/x"),
            "weighhouse-csi: unknown argument '--kubelet-rot=/x': did you mean --kubelet-root?\n");
  EXPECT_EQ(complaint("extra"), "weighhouse-csi: unknown argument 'extra': see --help\n");
}

TEST_F(OptionsTest, PathsAreCleaned) {
  Options options{.node_id = "n", .kubelet_root = "/var/lib/kubelet/", .cache_root = "/a/./b//c"};
  Result<Options> checked = Validate(options);
  ASSERT_TRUE(checked.has_value());
  EXPECT_EQ(checked->kubelet_root, "/var/lib/kubelet");
  EXPECT_EQ(checked->cache_root, "/a/b/c");
}

TEST_F(OptionsTest, WrongValuesAreNamed) {
  EXPECT_THAT(Refusal({.kubelet_root = "relative"}), HasSubstr("--kubelet-root"));
  EXPECT_THAT(Refusal({.cache_root = "/"}), HasSubstr("--cache-root"));
  EXPECT_THAT(Refusal({.endpoint = "tcp://1.2.3.4:5"}), HasSubstr("--endpoint"));
  EXPECT_THAT(Refusal({.endpoint = "unix:///" + std::string(200, 'x')}), HasSubstr("107"));
  EXPECT_THAT(Refusal({.node_id = std::string(193, 'n')}), HasSubstr("--node-id"));
  EXPECT_THAT(Refusal({.node_id = " "}), HasSubstr("--node-id"));
  for (const char* name : {"9a", "a9", "A.b", "a", "a..b", "a_b"}) {
    EXPECT_THAT(Refusal({.driver_name = name}), HasSubstr("--driver-name")) << name;
  }
  EXPECT_THAT(Refusal({.publish_hold_limit = std::chrono::milliseconds(0)}),
              HasSubstr("--publish-hold-limit"));
}

}  // namespace
}  // namespace weighhouse::csi
