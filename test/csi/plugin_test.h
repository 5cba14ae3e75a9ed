#pragma once

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "test/csi/fake_mounter.h"
#include "test/csi/plugin_harness.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {

using grpc::StatusCode;

MATCHER_P(HasCode, code, "") {
  *result_listener << "code " << arg.error_code() << ", \"" << arg.error_message() << "\"";
  // The contract: a message with every error, details with none (facts §4.4).
  bool formed = arg.ok() || !arg.error_message().empty();
  return arg.error_code() == code && formed && arg.error_details().empty();
}

/// A plugin with fake mounts, on which every kind of protection holds.
class PluginTest : public testing::Test {
 protected:
  explicit PluginTest(const ProtectionFindings& findings = AllHold())
      : harness_(std::filesystem::canonical(directory_.path()), mounter_, findings) {
    harness_.daemon().SetScript(FakeDaemon::Answer(PluginHarness::Tree('a')));
  }

  static ProtectionFindings AllHold() {
    return {.idmapped_bind = {.holds = true, .reason = ""},
            .overlay = {.holds = true, .reason = ""},
            .scratch = {.holds = true, .reason = ""}};
  }
  bool IsMounted(const std::string& target) { return mounter_.CountAt(target) > 0; }
  static std::string LeaseOf(const std::string& target) { return Digest::Of(target).Hex(); }
  /// The publish that `Request` describes, with an access mode.
  ::csi::v1::NodePublishVolumeRequest RequestWithMode(
      const std::string& volume, const std::string& target,
      ::csi::v1::VolumeCapability_AccessMode_Mode mode) {
    auto request = harness_.Request(volume, target);
    request.mutable_volume_capability()->mutable_access_mode()->set_mode(mode);
    return request;
  }

  TemporaryDirectory directory_;
  FakeMounter mounter_;
  PluginHarness harness_;
};

}  // namespace weighhouse::csi
