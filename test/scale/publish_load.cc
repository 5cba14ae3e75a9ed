// scale-publish SOCKET KUBELET_ROOT MODELS PUBLISHES ROUNDS PROTECTION CONNECTIONS: what kubelet
// does when PUBLISHES pods start at one moment, ROUNDS times. Every call has a pod, a target and an
// inline volume of its own, with its pod's information; together they use the first MODELS models
// of a root that scale-root made. PROTECTION is `readonly` (plain read-only binds) or `writable`
// (what keeps root from writing). CONNECTIONS is `shared` (one, made before) or `each` (one a call,
// made within it, as kubelet does). A round publishes all, sees that each volume is mounted and
// shows its model, and unpublishes all. Prints one JSON object: how long the calls took.

#include <absl/synchronization/mutex.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/grpcpp.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/mutex.h"
#include "proto/csi.grpc.pb.h"
#include "test/scale/latencies.h"
#include "test/scale/scale_model.h"

namespace weighhouse::scale {
namespace {

namespace fs = std::filesystem;
namespace pb = ::csi::v1;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{120};  // kubelet's

enum class Connections { kShared, kEach };

struct Plan {
  std::string socket;
  fs::path kubelet_root;
  size_t models = 0, publishes = 0, rounds = 0;
  bool readonly = false;
  Connections connections = Connections::kShared;
};

std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else channels share a connection
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

/// A pod of one round and its volume.
struct Volume {
  std::string uid, id, target;
  size_t model = 0;
};

Volume VolumeOf(const Plan& plan, size_t round, size_t number) {
  Volume volume{.uid = fmt::format("{:08x}-0000-4000-8000-{:012x}", round, number),
                .model = number % plan.models};
  volume.id = "csi-" + Digest::Of(volume.uid).Hex();
  volume.target = plan.kubelet_root / "pods" / volume.uid / "volumes/kubernetes.io~csi/model/mount";
  return volume;
}

pb::NodePublishVolumeRequest PublishOf(const Plan& plan, const Volume& volume) {
  pb::NodePublishVolumeRequest request;
  request.set_volume_id(volume.id);
  request.set_target_path(volume.target);
  request.set_readonly(plan.readonly);
  pb::VolumeCapability& capability = *request.mutable_volume_capability();
  capability.mutable_mount();
  capability.mutable_access_mode()->set_mode(pb::VolumeCapability_AccessMode::SINGLE_NODE_WRITER);
  auto& context = *request.mutable_volume_context();
  context["model"] = ReferenceOf(volume.model);
  context["csi.storage.k8s.io/ephemeral"] = "true";
  context["csi.storage.k8s.io/pod.name"] = "pod-" + volume.uid;
  context["csi.storage.k8s.io/pod.namespace"] = "scale";
  context["csi.storage.k8s.io/pod.uid"] = volume.uid;
  context["csi.storage.k8s.io/serviceAccount.name"] = "default";
  return request;
}

pb::NodeUnpublishVolumeRequest UnpublishOf(const Volume& volume) {
  pb::NodeUnpublishVolumeRequest request;
  request.set_volume_id(volume.id);
  request.set_target_path(volume.target);
  return request;
}

/// Calls that begin at one moment. Thread-safe.
class Burst {
 public:
  template <class Request, class Response>
  using Method = void (pb::Node::Stub::async::*)(grpc::ClientContext*, const Request*, Response*,
                                                 std::function<void(grpc::Status)>);
  explicit Burst(const Plan& plan) : plan_(plan) {
    if (plan.connections == Connections::kShared) shared_ = Connect(plan.socket);
  }
  /// An error says what stands in the way.
  Result<> WaitForConnection() {
    if (!shared_ || shared_->WaitForConnected(std::chrono::system_clock::now() + kPatience)) {
      return {};
    }
    return Fail(Code::kUnavailable, "the plugin does not answer on " + plan_.socket);
  }

  /// Begins one call a request and waits for all; how long each took from its own beginning. An
  /// error is the first that a call met.
  template <class Request, class Response>
  Result<std::vector<Milliseconds>> Run(const std::vector<Request>& requests,
                                        Method<Request, Response> method) {
    {
      MutexLock lock(mutex_);
      took_.clear();
    }
    std::vector<std::unique_ptr<Call<Response>>> calls;
    for (size_t i = 0; i < requests.size(); ++i) {
      calls.push_back(std::make_unique<Call<Response>>());
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      Call<Response>& call = *calls[i];
      call.context.set_deadline(std::chrono::system_clock::now() + kPatience);
      call.context.set_wait_for_ready(true);
      call.begun = Clock::now();
      call.stub = pb::Node::NewStub(shared_ ? shared_ : Connect(plan_.socket));
      (call.stub->async()->*method)(
          &call.context, &requests[i], &call.response,
          [this, begun = call.begun](const grpc::Status& status) { End(begun, status); });
    }
    MutexLock lock(mutex_);
    while (ended_ < requests.size()) changed_.Wait(lock);
    ended_ = 0;
    if (!failure_) return std::unexpected(failure_.error());
    return took_;
  }

 private:
  template <class Response>
  struct Call {
    std::unique_ptr<pb::Node::Stub> stub;
    grpc::ClientContext context;
    Response response;
    Clock::time_point begun;
  };

  void End(Clock::time_point begun, const grpc::Status& status) EXCLUDES(mutex_) {
    Milliseconds took = Clock::now() - begun;
    MutexLock lock(mutex_);
    took_.push_back(took);
    if (!status.ok() && failure_) failure_ = Fail(Code::kInternal, status.error_message());
    ++ended_;
    changed_.NotifyAll();  // under the lock: who waits destroys this
  }

  const Plan& plan_;
  std::shared_ptr<grpc::Channel> shared_;  // kept by each stub as well
  Mutex mutex_;
  ConditionVariable changed_;
  size_t ended_ GUARDED_BY(mutex_) = 0;
  Result<> failure_ GUARDED_BY(mutex_);
  std::vector<Milliseconds> took_ GUARDED_BY(mutex_);
};

/// Whether something is mounted at `target`.
Result<bool> IsMountPoint(const std::string& target) {
  struct statx status{};
  if (statx(AT_FDCWD, target.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) != 0) {
    if (errno == ENOENT) return false;
    return FailErrno(errno, "stat " + target);
  }
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/// That the volume is a mount, read-only, and shows its own model.
Result<> CheckMounted(const Volume& volume) {
  bool mounted = TRY(IsMountPoint(volume.target));
  if (!mounted) return Fail(Code::kInternal, volume.target + " is not mounted");
  struct statvfs status{};
  if (statvfs(volume.target.c_str(), &status) != 0) return FailErrno(errno, "statvfs");
  if ((status.f_flag & ST_RDONLY) == 0) {
    return Fail(Code::kInternal, volume.target + " is not read-only");
  }
  std::ifstream file(fs::path(volume.target) / FileNameOf(0));
  std::string content(std::istreambuf_iterator<char>(file), {});
  if (content == ContentOf(volume.model, 0)) return {};
  return Fail(Code::kInternal, fmt::format("{} shows `{}`", volume.target, content));
}

/// What all rounds took, and each round's p99.
struct Measured {
  std::vector<Milliseconds> publishes, unpublishes;
  std::vector<double> publish_rounds, unpublish_rounds;
};

void Add(std::vector<Milliseconds> took, std::vector<Milliseconds>& all,
         std::vector<double>& rounds) {
  all.insert(all.end(), took.begin(), took.end());
  std::ranges::sort(took);
  rounds.push_back(Quantile(took, 0.99));
}

class Pods {
 public:
  explicit Pods(const Plan& plan) : plan_(plan), burst_(plan) {}

  Result<Measured> Run() {
    TRY(burst_.WaitForConnection());
    TRY(Round(0));  // what is allocated once is
    measured_ = {};
    for (size_t round = 1; round <= plan_.rounds; ++round) {
      TRY(Round(round));
    }
    return measured_;
  }

 private:
  Result<> Round(size_t round) {
    std::vector<Volume> volumes;
    std::vector<pb::NodePublishVolumeRequest> publishes;
    std::vector<pb::NodeUnpublishVolumeRequest> unpublishes;
    for (size_t number = 0; number < plan_.publishes; ++number) {
      volumes.push_back(VolumeOf(plan_, round, number));
      publishes.push_back(PublishOf(plan_, volumes.back()));
      unpublishes.push_back(UnpublishOf(volumes.back()));
      fs::create_directories(fs::path(volumes.back().target).parent_path());  // kubelet's part
    }
    std::vector<Milliseconds> published =
        TRY(burst_.Run(publishes, &pb::Node::Stub::async::NodePublishVolume));
    for (const Volume& volume : volumes) TRY(CheckMounted(volume));
    std::vector<Milliseconds> unpublished =
        TRY(burst_.Run(unpublishes, &pb::Node::Stub::async::NodeUnpublishVolume));
    for (const Volume& volume : volumes) {
      if (fs::exists(volume.target)) {
        return Fail(Code::kInternal, volume.target + " is still there");
      }
      fs::remove_all(plan_.kubelet_root / "pods" / volume.uid);
    }
    Add(std::move(published), measured_.publishes, measured_.publish_rounds);
    Add(std::move(unpublished), measured_.unpublishes, measured_.unpublish_rounds);
    return {};
  }

  const Plan& plan_;
  Burst burst_;
  Measured measured_;
};

std::string ToJson(const std::vector<Milliseconds>& took, const std::vector<double>& rounds) {
  return fmt::format(R"({{{}, "round_p99_ms": [{:.2f}]}})", Summary(took), fmt::join(rounds, ", "));
}

int Main(std::span<char*> arguments) {
  if (arguments.size() != 8) {
    std::fputs(
        "usage: scale-publish SOCKET KUBELET_ROOT MODELS PUBLISHES ROUNDS readonly|writable "
        "shared|each\n",
        stderr);
    return 2;
  }
  auto number = [&](size_t position) -> size_t {
    return std::max<size_t>(1, std::strtoull(arguments[position], nullptr, 10));
  };
  Plan plan{.socket = arguments[1],
            .kubelet_root = arguments[2],
            .models = number(3),
            .publishes = number(4),
            .rounds = number(5),
            .readonly = std::string_view(arguments[6]) == "readonly",
            .connections = std::string_view(arguments[7]) == "each" ? Connections::kEach
                                                                    : Connections::kShared};
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);  // as csi/main.cc does
  Result<Measured> measured = Pods(plan).Run();
  if (!measured) {
    std::fputs(fmt::format("scale-publish: {}\n", measured.error().message).c_str(), stderr);
    return 1;
  }
  std::puts(fmt::format(R"({{"publish": {}, "unpublish": {}}})",
                        ToJson(measured->publishes, measured->publish_rounds),
                        ToJson(measured->unpublishes, measured->unpublish_rounds))
                .c_str());
  return 0;
}

}  // namespace
}  // namespace weighhouse::scale

int main(int argc, char** argv) {
  return weighhouse::scale::Main({argv, static_cast<size_t>(argc)});
}
