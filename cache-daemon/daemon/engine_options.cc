#include "cache-daemon/daemon/engine_options.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <tuple>

#include <fmt/format.h>

namespace weighhouse::daemon {
namespace {

/// Of a shared filesystem: kubelet removes images at 85 % full, and evicts pods a little later.
constexpr config::SpaceShare kSharedMinFree{.percent = 20};
constexpr config::SpaceShare kOwnMinFree{.percent = 5};
/// Between two looks others may write.
constexpr int kLooks = 3;

/// `path`, or the nearest directory above it that is there.
std::string ExistingPartOf(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path existing = path;
  while (!std::filesystem::exists(existing, ignored) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  return existing.string();
}

bool HaveEqualSizes(const struct statvfs& one, const struct statvfs& other) {
  auto sizes = [](const struct statvfs& status) {
    return std::tuple(status.f_frsize, status.f_blocks, status.f_bfree, status.f_files,
                      status.f_ffree);
  };
  return one.f_blocks > 0 && sizes(one) == sizes(other);
}

}  // namespace

bool OnOneFilesystem(const std::string& one, const std::string& other) {
  struct stat first{}, second{};
  if (::stat(one.c_str(), &first) != 0 || ::stat(other.c_str(), &second) != 0) return false;
  if (first.st_dev == second.st_dev) return true;
  for (int look = 0; look < kLooks; ++look) {
    struct statvfs first_sizes{}, second_sizes{};
    if (::statvfs(one.c_str(), &first_sizes) != 0) return false;
    if (::statvfs(other.c_str(), &second_sizes) != 0) return false;
    if (HaveEqualSizes(first_sizes, second_sizes)) return true;
  }
  return false;
}

Result<Placement> PlacementOf(const std::string& root, const std::string& config_file) {
  std::string place = ExistingPartOf(root);
  struct statvfs sizes{};
  if (::statvfs(place.c_str(), &sizes) != 0) {
    return FailErrno(errno, fmt::format("look at the cache root {}", root));
  }
  std::string config_directory = std::filesystem::path(config_file).parent_path().string();
  bool shared = false;
  for (const std::string& other : {std::string("/"), std::string("/etc/hosts"), config_directory}) {
    shared = shared || OnOneFilesystem(place, other);
  }
  return Placement{.filesystem_total = Bytes{sizes.f_blocks} * sizes.f_frsize, .shared = shared};
}

EngineOptions ToEngineOptions(const config::Config& config, const Placement& placement) {
  config::SpaceShare min_free =
      config.min_free.value_or(placement.shared ? kSharedMinFree : kOwnMinFree);
  EngineOptions options;
  options.store.root = config.root;
  if (config.limit) options.store.limit = config.limit->Of(placement.filesystem_total);
  options.store.min_free = min_free.Of(placement.filesystem_total);
  options.fill = config.fill;
  options.transport = config.transport;
  options.write_engine = config.write_engine;
  options.buffer_bytes = config.buffer_memory;
  options.hub_endpoint = config.hub_endpoint;
  options.hub_mirrors = config.hub_mirrors;
  options.hub_offline = config.hub_offline;
  options.modelscope_endpoint = config.modelscope_endpoint;
  options.local_roots = config.local_roots;
  options.buckets = config.buckets;
  options.allow = config.allow;
  options.deny = config.deny;
  options.allow_by_namespace = config.allow_by_namespace;
  options.deny_by_namespace = config.deny_by_namespace;
  options.pickle = config.pickle;
  options.allow_plain_http = config.allow_plain_http;
  options.allow_addresses = config.allow_addresses;
  options.proxies = config.proxies;
  options.scrub = {.daily_bytes = config.scrub_daily_bytes, .bytes_per_second = config.scrub_rate};
  options.hold_timeout = config.hold_timeout;
  options.verify_rate = config.verify_rate;
  options.rights = config.rights;
  options.keep = config.keep;
  options.resume_fills = true;
  return options;
}

std::optional<std::string> WarningAbout(const config::Config& config, const Placement& placement) {
  if (!config.min_free || !placement.shared) return std::nullopt;
  Bytes configured = config.min_free->Of(placement.filesystem_total);
  Bytes advised = kSharedMinFree.Of(placement.filesystem_total);
  if (configured >= advised) return std::nullopt;
  return fmt::format(
      "cache.minFree is {}, but {} lies on a filesystem that the node's system, kubelet or its "
      "runtime use too: a full cache makes kubelet remove images at 85 % full, then evict pods; "
      "give {} (20%) or more, or the cache a filesystem of its own",
      FormatBytes(configured), config.root, FormatBytes(advised));
}

}  // namespace weighhouse::daemon
