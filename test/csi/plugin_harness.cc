#include "test/csi/plugin_harness.h"

#include "base/error.h"
#include "csi/socket.h"

namespace weighhouse::csi {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kPatience{300};

}  // namespace

PluginHarness::PluginHarness(const fs::path& base, Mounter& mounter, ProtectionFindings findings)
    : kubelet_root_(base / "kubelet"),
      cache_root_(base / "cache"),
      mounter_(mounter),
      protections_(mounter, std::move(findings)) {
  fs::create_directories(kubelet_root_ / "pods");
  for (char digit : {'a', 'b'}) {
    WriteTestFile(cache_root_ / Tree(digit) / "config.json", std::string("tree ") + digit);
    WriteTestFile(cache_root_ / Tree(digit) / "sub/weights.bin", std::string(1000, digit));
  }
  WriteTestFile(cache_root_ / "format", "1 fake-root-id\n");
  options_ = {.endpoint = "unix://" + (base / "csi.sock").string(),
              .daemon_socket = (base / "node.sock").string(),
              .node_id = "test-node",
              .kubelet_root = kubelet_root_.string(),
              .cache_root = cache_root_.string(),
              .publish_margin = std::chrono::milliseconds(100),
              .publish_hold_limit = std::chrono::seconds(60)};
  daemon_ = std::make_unique<FakeDaemon>(options_.daemon_socket, cache_root_.string());
  daemon_->Start();
  StartPlugin();
}

PluginHarness::~PluginHarness() { StopPlugin(); }

void PluginHarness::StartPlugin() {
  Result<> prepared = PrepareSocketPath(options_.SocketPath());
  CHECK(prepared.has_value());
  plugin_ = std::make_unique<Plugin>(options_, mounter_, protections_, kPatience);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + options_.SocketPath(), grpc::InsecureServerCredentials());
  plugin_->RegisterAt(builder);
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr);
  auto channel =
      grpc::CreateChannel("unix:" + options_.SocketPath(), grpc::InsecureChannelCredentials());
  node_ = ::csi::v1::Node::NewStub(channel);
  controller_ = ::csi::v1::Controller::NewStub(channel);
  identity_ = ::csi::v1::Identity::NewStub(channel);
}

void PluginHarness::StopPlugin() {
  if (!plugin_) return;
  plugin_->publisher().Stop();
  CHECK(plugin_->publisher().WaitUntilIdle(std::chrono::steady_clock::now() +
                                           std::chrono::minutes(1)));
  server_->Shutdown();
  server_.reset();
  plugin_.reset();
}

void PluginHarness::RestartPlugin() {
  StopPlugin();
  StartPlugin();
}

std::string PluginHarness::MakeTarget(const std::string& pod, const std::string& volume) {
  fs::path parent = kubelet_root_ / "pods" / pod / "volumes/kubernetes.io~csi" / volume;
  fs::create_directories(parent);
  return (parent / "mount").string();
}

::csi::v1::NodePublishVolumeRequest PluginHarness::Request(const std::string& volume_id,
                                                           const std::string& target) const {
  ::csi::v1::NodePublishVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_target_path(target);
  ::csi::v1::VolumeCapability& capability = *request.mutable_volume_capability();
  capability.mutable_mount();
  capability.mutable_access_mode()->set_mode(
      ::csi::v1::VolumeCapability_AccessMode::MULTI_NODE_READER_ONLY);
  (*request.mutable_volume_context())["model"] = "hf://org/name";
  return request;
}

grpc::Status PluginHarness::Publish(const ::csi::v1::NodePublishVolumeRequest& request,
                                    std::chrono::milliseconds deadline) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  ::csi::v1::NodePublishVolumeResponse response;
  return node_->NodePublishVolume(&context, request, &response);
}

std::future<grpc::Status> PluginHarness::PublishLater(
    const ::csi::v1::NodePublishVolumeRequest& request) {
  return std::async(std::launch::async, [this, request] { return Publish(request); });
}

grpc::Status PluginHarness::Unpublish(const std::string& volume_id, const std::string& target) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  ::csi::v1::NodeUnpublishVolumeRequest request;
  request.set_volume_id(volume_id);
  request.set_target_path(target);
  ::csi::v1::NodeUnpublishVolumeResponse response;
  return node_->NodeUnpublishVolume(&context, request, &response);
}

grpc::Status PluginHarness::Stats(const std::string& volume_id, const std::string& path,
                                  ::csi::v1::NodeGetVolumeStatsResponse* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  ::csi::v1::NodeGetVolumeStatsRequest request;
  request.set_volume_id(volume_id);
  request.set_volume_path(path);
  return node_->NodeGetVolumeStats(&context, request, response);
}

}  // namespace weighhouse::csi
