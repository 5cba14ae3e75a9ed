#include "csi/reconciler.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <memory>

#include <fmt/format.h>

#include "base/log.h"
#include "base/thread.h"

namespace weighhouse::csi {
namespace {

constexpr std::chrono::milliseconds kRetry{3'000};
constexpr std::chrono::milliseconds kSyncPatience{10'000};

/// Ends the watch whatever happens in between.
class Watch {
 public:
  explicit Watch(Flights& flights) : flights_(flights) { flights_.BeginWatch(); }
  ~Watch() { flights_.EndWatch(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  std::vector<std::string> Leases() { return flights_.EndWatch(); }

 private:
  Flights& flights_;
};

/// Waits for a call of the daemon client; its own deadline ends it.
template <class T>
Result<T> Await(std::function<std::shared_ptr<DaemonCall>(DaemonClient::Done<T>)> make) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  std::future<Result<T>> future = promise->get_future();
  make([promise](Result<T> result) { promise->set_value(std::move(result)); })->Start();
  return future.get();
}

/// The path that kubelet names a mount point by, which is below the kubelet root as configured.
std::string AsKubeletNamesIt(const std::string& mount_point, const RootDirectory& root,
                             const std::string& kubelet_root) {
  std::string_view rest = mount_point;
  rest.remove_prefix(root.path == "/" ? 0 : root.path.size());
  return kubelet_root + std::string(rest);
}

}  // namespace

Reconciler::~Reconciler() {
  thread_.request_stop();
  Kick();
}

void Reconciler::Kick() {
  {
    MutexLock lock(mutex_);
    kicked_ = true;
  }
  changed_.NotifyAll();
}

void Reconciler::StartThread(std::chrono::milliseconds interval) {
  thread_ = weighhouse::StartThread(
      "reconcile", [this, interval](const std::stop_token& stop) { Loop(stop, interval); });
}

void Reconciler::WaitForNext(const std::stop_token& stop, std::chrono::milliseconds wait) {
  auto deadline = std::chrono::steady_clock::now() + wait;
  MutexLock lock(mutex_);
  while (!kicked_ && !stop.stop_requested()) {
    if (!changed_.WaitUntil(lock, deadline)) break;
  }
  kicked_ = false;
}

void Reconciler::Loop(const std::stop_token& stop, std::chrono::milliseconds interval) {
  std::string last_failure;
  while (!stop.stop_requested()) {
    Result<> outcome = RunOnce();
    std::string failure = outcome ? "" : outcome.error().message;
    // Once per change: a daemon that is away for an hour is one event.
    if (!failure.empty() && failure != last_failure) {
      LogRepeated(LogLevel::kWarning, fmt::format("mounts and leases not compared: {}", failure));
    } else if (failure.empty() && !last_failure.empty()) {
      LogRepeated(LogLevel::kInfo, "mounts and leases are compared again");
    }
    last_failure = failure;
    WaitForNext(stop, outcome ? interval : std::min(kRetry, interval));
  }
}

Result<std::vector<VolumeMounts::Volume>> Reconciler::ReadVolumes(
    const RootDirectory& kubelet_root) const {
  VolumeMounts mounts = TRY(parts_.disk.Mounts());
  TRY(CheckPropagation(mounts, kubelet_root.path + "/pods"));
  return mounts.Below(kubelet_root.path);
}

Result<std::vector<std::string>> Reconciler::ListPods(const RootDirectory& kubelet_root) const {
  int fd = openat(kubelet_root.fd.get(), "pods", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return FailErrno(errno, fmt::format("open {}/pods", kubelet_root.path));
  std::unique_ptr<DIR, int (*)(DIR*)> listing(fdopendir(fd), closedir);
  if (!listing) return FailErrno(errno, fmt::format("list {}/pods", kubelet_root.path));
  std::vector<std::string> pods;
  errno = 0;
  while (const dirent* entry = readdir(listing.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") pods.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return FailErrno(errno, fmt::format("list {}/pods", kubelet_root.path));
  return pods;
}

void Reconciler::AddLive(const RootDirectory& kubelet_root, const VolumeMounts::Volume& volume,
                         cache::v1::SyncLeasesRequest& request) const {
  std::string path = AsKubeletNamesIt(volume.mount_point, kubelet_root, parts_.kubelet_root);
  Result<TargetPath> target = TargetPath::Parse(path, parts_.kubelet_root);
  if (!target) return;
  std::optional<Publication> known = parts_.published.Find(path);
  if (!known) {
    known.emplace();
    known->volume_id = parts_.disk.VolumeHandle(*target);
    known->tree = volume.tree;
    parts_.published.Adopt(path, *known);
  }
  cache::v1::SyncLeasesRequest::Live& live = *request.add_live();
  live.set_lease_id(target->LeaseId());
  live.set_tree(volume.tree);
  cache::v1::Holder& holder = *live.mutable_holder();
  holder.set_volume_id(known->volume_id);
  holder.set_target_path(path);
  holder.set_pod_namespace(known->pod_namespace);
  holder.set_pod_name(known->pod_name);
  holder.set_pod_uid(target->pod_uid);
}

Result<> Reconciler::CheckDaemonRoot() const {
  cache::v1::InfoResponse info = TRY(Await<cache::v1::InfoResponse>(
      [this](auto done) { return parts_.daemon.Info(kSyncPatience, std::move(done)); }));
  return parts_.disk.CheckCacheRoot(
      {.device = info.root_device(), .inode = info.root_inode(), .id = info.root_id()});
}

Result<> Reconciler::Send(cache::v1::SyncLeasesRequest request) const {
  int live = request.live_size();
  cache::v1::SyncLeasesResponse response =
      TRY(Await<cache::v1::SyncLeasesResponse>([this, &request](auto done) {
        return parts_.daemon.SyncLeases(std::move(request), kSyncPatience, std::move(done));
      }));
  bool changed = response.dropped() > 0 || response.recreated() > 0;
  LogEvent(changed ? LogLevel::kInfo : LogLevel::kDebug,
           fmt::format("compared {} mounts with the leases: {} dropped, {} made again", live,
                       response.dropped(), response.recreated()));
  return {};
}

Result<> Reconciler::RunOnce() {
  LogScope scope(ContextOfRequest(""));
  Result<> tested = parts_.protections.Ensure();
  if (!tested) LogRepeated(LogLevel::kWarning, tested.error().message);
  auto epoch = parts_.clock.Now().time_since_epoch();
  cache::v1::SyncLeasesRequest request;
  request.set_epoch_unix_ms(std::chrono::duration_cast<std::chrono::milliseconds>(epoch).count());
  Watch watch(parts_.flights);
  RootDirectory root = TRY(parts_.disk.OpenKubeletRoot());
  std::vector<VolumeMounts::Volume> volumes = TRY(ReadVolumes(root));
  for (const VolumeMounts::Volume& volume : volumes) AddLive(root, volume, request);
  std::vector<std::string> publishing = watch.Leases();
  for (const std::string& lease : publishing) request.add_publishing_lease_ids(lease);
  std::vector<std::string> pods = TRY(ListPods(root));
  for (const std::string& pod : pods) request.add_pod_uids(pod);
  TRY(CheckDaemonRoot());
  return Send(std::move(request));
}

}  // namespace weighhouse::csi
