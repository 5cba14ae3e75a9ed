#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "csi/plugin.h"
#include "proto/csi.grpc.pb.h"
#include "test/csi/fake_daemon.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::csi {

/// The plugin as kubelet meets it, over sockets, with a mounter of the test's and a fake daemon: a
/// kubelet root, a cache root with two trees, and calls as kubelet makes them.
class PluginHarness {
 public:
  /// `base` holds the roots; made if missing. `mounter` outlives the harness.
  PluginHarness(const std::filesystem::path& base, Mounter& mounter, ProtectionFindings findings);
  ~PluginHarness();

  /// Ends the plugin and starts another one, which knows nothing.
  void RestartPlugin();
  void StopPlugin();

  /// The path kubelet would choose, its parent made.
  std::string MakeTarget(const std::string& pod, const std::string& volume = "model");
  /// A publish of a claim's volume as kubelet would send it.
  ::csi::v1::NodePublishVolumeRequest Request(const std::string& volume_id,
                                              const std::string& target) const;
  grpc::Status Publish(const ::csi::v1::NodePublishVolumeRequest& request,
                       std::chrono::milliseconds deadline = std::chrono::seconds(60));
  std::future<grpc::Status> PublishLater(const ::csi::v1::NodePublishVolumeRequest& request);
  grpc::Status Unpublish(const std::string& volume_id, const std::string& target);
  grpc::Status Stats(const std::string& volume_id, const std::string& path,
                     ::csi::v1::NodeGetVolumeStatsResponse* response);

  FakeDaemon& daemon() { return *daemon_; }
  Plugin& plugin() { return *plugin_; }
  ::csi::v1::Node::Stub& node() { return *node_; }
  ::csi::v1::Controller::Stub& controller() { return *controller_; }
  ::csi::v1::Identity::Stub& identity() { return *identity_; }
  const std::filesystem::path& kubelet_root() const { return kubelet_root_; }
  const std::filesystem::path& cache_root() const { return cache_root_; }
  static std::string Tree(char digit) { return "trees/files/" + std::string(64, digit); }
  /// Of the next plugin.
  Options& options() { return options_; }

 private:
  void StartPlugin();

  std::filesystem::path kubelet_root_, cache_root_;
  Mounter& mounter_;
  Protections protections_;
  Options options_;
  std::unique_ptr<FakeDaemon> daemon_;
  std::unique_ptr<Plugin> plugin_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<::csi::v1::Node::Stub> node_;
  std::unique_ptr<::csi::v1::Controller::Stub> controller_;
  std::unique_ptr<::csi::v1::Identity::Stub> identity_;
};

}  // namespace weighhouse::csi
