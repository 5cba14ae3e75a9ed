#include "csi/volume_disk.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/log.h"
#include "base/text.h"

namespace weighhouse::csi {
namespace {

/// A temporary failure: whatever the code was, the caller shall come back.
std::unexpected<Error> Unavailable(Error error) {
  error.code = Code::kUnavailable;
  return std::unexpected(std::move(error));
}

/// The value, or a failure that is temporary unless its code says more: what FailErrno makes of no
/// memory, no descriptor or a disk that errs, kubelet would take as final.
template <class T>
Result<T> OrUnavailable(Result<T> result) {
  if (result || result.error().code == Code::kUnimplemented ||
      result.error().code == Code::kResourceExhausted) {
    return result;
  }
  return Unavailable(std::move(result).error());
}

/// The same for a walk, whose other codes speak of the path.
template <class T>
Result<T> OrUnavailableInside(Result<T> result) {
  if (result || result.error().code != Code::kInternal) return result;
  return Unavailable(std::move(result).error());
}

SelinuxState SelinuxOf(const VolumeMounts& mounts) {
  return mounts.cache_has_labels() ? SelinuxState::kOn : SelinuxState::kOff;
}

}  // namespace

Result<> CheckPropagation(const VolumeMounts& mounts, const std::string& mount_point) {
  const MountEntry* holder = mounts.Covering(mount_point);
  if (holder != nullptr && holder->shared) return {};
  return Fail(Code::kUnavailable,
              fmt::format("mounts made here would not reach the host, because the mount at {} is "
                          "not shared: give the plugin's container the kubelet directory with "
                          "`mountPropagation: Bidirectional`, or outside of a container run `mount "
                          "--make-rshared` on it",
                          holder == nullptr ? "/" : holder->mount_point));
}

Result<RootDirectory> VolumeDisk::OpenKubeletRoot() const {
  Result<RootDirectory> root = OpenRootDirectory(settings_.kubelet_root);
  if (!root) return Unavailable(std::move(root).error().Within("kubelet root"));
  return root;
}

Result<RootDirectory> VolumeDisk::OpenCacheRoot() const {
  Result<RootDirectory> root = OpenRootDirectory(settings_.cache_root);
  if (!root) return Unavailable(std::move(root).error().Within("cache root"));
  return root;
}

Result<MountLook> VolumeDisk::Look() const {
  RootDirectory root = TRY(OpenCacheRoot());
  // Before the list: what takes this mount's place in between has another number.
  uint64_t cache_mount = TRY(OrUnavailable(MountIdOf(root.fd.get())));
  std::vector<MountEntry> mounts = TRY(OrUnavailable(mounter_.Mounts()));
  return MountLook{.mounts = VolumeMounts(std::move(mounts), root.path),
                   .cache_mount = cache_mount};
}

Result<VolumeMounts> VolumeDisk::Mounts() const {
  MountLook look = TRY(Look());
  return std::move(look.mounts);
}

Result<> VolumeDisk::CheckKubeletRoot() const {
  RootDirectory root = TRY(OpenKubeletRoot());
  VolumeMounts mounts = TRY(Mounts());
  return CheckPropagation(mounts, root.path + "/pods");
}

Result<VolumeDisk::Inspection> VolumeDisk::Inspect(const TargetPath& target,
                                                   const Result<MountLook>& look) const {
  RootDirectory root = TRY(OpenKubeletRoot());
  // The walk refuses a symlink on the way before anything else is believed of the path.
  Result<UniqueFd> parent = OrUnavailableInside(OpenTargetParent(root, target));
  if (!parent && parent.error().code == Code::kNotFound) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("the directory that shall hold {} does not exist", target.path));
  }
  if (!parent) return std::unexpected(std::move(parent).error().Within("target_path"));
  if (!look) return std::unexpected(look.error());
  std::string point = target.MountPoint(root);
  return Inspection{.found = look->mounts.At(point),
                    .propagation = CheckPropagation(look->mounts, point),
                    .cache = {.id = look->cache_mount, .selinux = SelinuxOf(look->mounts)}};
}

Result<bool> VolumeDisk::HoldsVolume(const std::string& target_path, const MountLook& look) const {
  TargetPath target = TRY(TargetPath::Parse(target_path, settings_.kubelet_root));
  RootDirectory root = TRY(OpenKubeletRoot());
  return look.mounts.At(target.MountPoint(root)).kind == VolumeMounts::Kind::kVolume;
}

Result<> VolumeDisk::CheckCacheRoot(const DaemonRoot& daemon) const {
  RootDirectory root = TRY(OpenCacheRoot());
  struct stat status{};
  if (fstat(root.fd.get(), &status) != 0) {
    return Unavailable(FailErrno(errno, "stat the cache root").error());
  }
  if (status.st_dev != daemon.device || status.st_ino != daemon.inode) {
    return Fail(
        Code::kUnavailable,
        fmt::format("the plugin's cache root {} is another directory (device {}, inode {}) "
                    "than the cache daemon's (device {}, inode {}): was a disk mounted over "
                    "it after one of them started? Restart both, with the same cache root",
                    settings_.cache_root, status.st_dev, status.st_ino, daemon.device,
                    daemon.inode));
  }
  if (daemon.id.empty()) return {};
  Result<UniqueFd> file = OpenFileBeneath(root.fd.get(), "format", MountCrossing::kRefused);
  if (!file) return Unavailable(std::move(file).error().Within("cache root"));
  std::string format = TRY(OrUnavailable(ReadAtMost(file->get(), 4096)));
  if (format.contains(daemon.id)) return {};
  return Fail(Code::kUnavailable,
              fmt::format("the file `format` in {} does not carry the id {} that the cache daemon "
                          "works with: restart the cache daemon",
                          settings_.cache_root, Printable(daemon.id, 80)));
}

Result<UniqueFd> VolumeDisk::OpenTree(const std::string& tree) const {
  if (!IsTreePath(tree)) {
    return Fail(Code::kUnavailable, fmt::format("the cache daemon named `{}` as a tree, which has "
                                                "not the form of one: plugin and daemon differ in "
                                                "version?",
                                                Printable(tree, 120)));
  }
  RootDirectory root = TRY(OpenCacheRoot());
  Result<UniqueFd> fd = OpenDirectoryBeneath(root.fd.get(), tree, MountCrossing::kRefused);
  if (!fd) return Unavailable(std::move(fd).error().Within("cache root " + root.path));
  return std::move(*fd);
}

Result<> VolumeDisk::MountScratch(const MountOrder& order) const {
  Result<> mounted = mounter_.Mount(order);
  if (mounted || mounted.error().code == Code::kResourceExhausted) return mounted;
  Error error = std::move(mounted).error();
  // The self-test showed that this kernel can do it, so it may again: no memory, or no process.
  bool for_good = error.code == Code::kOutOfRange;
  error.code = for_good ? Code::kFailedPrecondition : Code::kUnavailable;
  return std::unexpected(std::move(error).Within(ProtectionName(order.protection)));
}

Result<> VolumeDisk::MountProtected(const MountOrder& order) const {
  if (order.protection == Protection::kScratch) return MountScratch(order);
  Result<> mounted = OrUnavailable(mounter_.Mount(order));
  if (mounted || mounted.error().code != Code::kUnimplemented) return mounted;
  std::string why =
      fmt::format("{}: {}", ProtectionName(order.protection), mounted.error().message);
  if (order.protection == Protection::kIdmappedBind) {
    // The self-test's filesystem could be idmapped, the cache's can't.
    LogRepeated(LogLevel::kWarning,
                fmt::format("{}: {}; mounting an overlay instead", order.tree_name, why));
    MountOrder overlay = order;
    overlay.protection = Protection::kOverlay;
    Result<> holds = protections_.CheckOverlay();
    mounted = holds ? OrUnavailable(mounter_.Mount(overlay)) : std::move(holds);
    if (mounted || mounted.error().code != Code::kUnimplemented) return mounted;
    why += fmt::format("; {}: {}", ProtectionName(overlay.protection), mounted.error().message);
  }
  return Fail(Code::kFailedPrecondition,
              fmt::format("this node can't mount {} so that no container can write to it ({}): set "
                          "`readOnly: true` on the volume",
                          order.tree_name, why));
}

Result<> VolumeDisk::CheckAccess(const VolumeAccess& access) const {
  if (!access.Scratch()) return {};
  return protections_.CheckScratch();
}

Result<Protection> VolumeDisk::Choose(const VolumeAccess& access, SelinuxState selinux) const {
  TRY(CheckAccess(access));
  if (access.Scratch()) return Protection::kScratch;
  return protections_.Choose(access.readonly, selinux);
}

Result<SelinuxState> VolumeDisk::Selinux(const CacheMount& seen) const {
  RootDirectory root = TRY(OpenCacheRoot());
  uint64_t now = TRY(OrUnavailable(MountIdOf(root.fd.get())));
  if (now == seen.id) return seen.selinux;
  VolumeMounts mounts = TRY(Mounts());
  return SelinuxOf(mounts);
}

Result<> VolumeDisk::Mount(const TargetPath& target, const std::string& tree,
                           const VolumeAccess& access, const CacheMount& cache) const {
  UniqueFd source = TRY(OpenTree(tree));
  RootDirectory root = TRY(OpenKubeletRoot());
  SelinuxState selinux = TRY(Selinux(cache));
  Protection protection = TRY(Choose(access, selinux));
  UniqueFd parent = TRY(OrUnavailableInside(OpenTargetParent(root, target)));
  UniqueFd directory = TRY(OrUnavailableInside(MakeTarget(parent.get(), target)));
  MountOrder order{.tree = source.get(),
                   .tree_name = tree,
                   .target = directory.get(),
                   .protection = protection,
                   .selinux_context = "",
                   .scratch_size = access.scratch_size};
  if (selinux == SelinuxState::kOn) order.selinux_context = settings_.selinux_context;
  return MountProtected(order);
}

Result<> VolumeDisk::Clear(const TargetPath& target) const {
  RootDirectory root = TRY(OpenKubeletRoot());
  Result<UniqueFd> parent = OpenTargetParent(root, target);
  if (!parent && parent.error().code == Code::kNotFound) return {};
  if (!parent) return std::unexpected(std::move(parent).error());
  // Mounts may be stacked, by a replay that other versions took for a first publish.
  constexpr int kMaxStack = 1000;
  for (int i = 0; i < kMaxStack; ++i) {
    Result<> unmounted = mounter_.Unmount(parent->get(), target.name);
    if (unmounted) continue;
    if (unmounted.error().code != Code::kNotFound) return unmounted;
    return RemoveTarget(parent->get(), target);
  }
  return Fail(Code::kInternal, fmt::format("{} is mounted over and over again", target.path));
}

void VolumeDisk::RemoveUnlessMounted(const TargetPath& target) const {
  Result<RootDirectory> root = OpenKubeletRoot();
  if (!root) return;
  Result<UniqueFd> parent = OpenTargetParent(*root, target);
  if (!parent) return;
  // A mount point answers EBUSY, a directory with files ENOTEMPTY: neither is ours to remove.
  Result<> removed = RemoveTarget(parent->get(), target);
  if (!removed) spdlog::debug("{}", removed.error().message);
}

Result<VolumeSizes> VolumeDisk::Measure(const std::string& tree) const {
  namespace fs = std::filesystem;
  constexpr uint64_t kMaxEntries = 200'000;
  UniqueFd fd = TRY(OpenTree(tree));
  VolumeSizes sizes;
  std::error_code error;
  fs::recursive_directory_iterator entries(DescriptorPath(fd.get()) + "/", error);
  for (; !error && entries != fs::end(entries); entries.increment(error)) {
    ++sizes.files;
    if (sizes.files > kMaxEntries) break;
    if (entries->is_regular_file(error) && !error) sizes.bytes += entries->file_size(error);
    if (error) break;
  }
  if (error) return Fail(Code::kUnavailable, fmt::format("measure {}: {}", tree, error.message()));
  return sizes;
}

std::string VolumeDisk::VolumeHandle(const TargetPath& target) const {
  constexpr size_t kLimit = 64 << 10;
  Result<RootDirectory> root = OpenKubeletRoot();
  if (!root) return "";
  Result<UniqueFd> file =
      OpenFileBeneath(root->fd.get(), target.parent + "/vol_data.json", MountCrossing::kAllowed);
  if (!file) return "";
  Result<std::string> text = ReadAtMost(file->get(), kLimit);
  if (!text) return "";
  auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("volumeHandle")) return "";
  const auto* handle = json["volumeHandle"].get_ptr<const nlohmann::json::string_t*>();
  return handle == nullptr ? "" : *handle;
}

}  // namespace weighhouse::csi
