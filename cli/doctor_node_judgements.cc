#include <charconv>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/doctor_judgements.h"

namespace weighhouse::cli {
namespace {

/// mount_setattr(2), by which volumes are protected, came with it.
constexpr std::pair kLeastKernel{5, 12};

/// What a process gets where nobody set it: 64 KiB, since Linux 5.16 8 MiB (MLOCK_LIMIT). A ring of
/// ours takes 8 KiB; whether they count depends on the kernel (6.18 does).
constexpr uint64_t kUsualMemoryLock = 64 * kKiB;

/// Records, sockets, eventfds and libraries, beside what fills hold.
constexpr uint64_t kOtherFiles = 256;
/// A file that is fetched: the staged file, its record, a reader's and a directory.
constexpr uint64_t kPerFile = 4;

/// The first two numbers of a release; {0, 0} if they can't be read.
std::pair<int, int> VersionOf(std::string_view release) {
  std::pair<int, int> version{0, 0};
  const char* first = release.data();
  const char* last = first + release.size();
  auto [point, error] = std::from_chars(first, last, version.first);
  if (error != std::errc() || point == last || *point != '.') return {0, 0};
  if (std::from_chars(point + 1, last, version.second).ec != std::errc()) return {0, 0};
  return version;
}

std::string WhoseLimit(const LimitFacts& limits) {
  return limits.daemon == 0 ? "of this process" : fmt::format("of process {}", limits.daemon);
}

std::string_view Adopt(const LimitFacts& limits) {
  return limits.daemon == 0 ? "where the daemon is started" : "and start the daemon again";
}

}  // namespace

Finding JudgeKernel(const KernelFacts& kernel) {
  std::pair<int, int> version = VersionOf(kernel.release);
  if (version == std::pair(0, 0)) {
    return Warning("kernel", kernel.release,
                   "the version can't be read from that: see that it is Linux 5.12 or newer");
  }
  if (version >= kLeastKernel) return Sound("kernel", kernel.release);
  return Failed("kernel", kernel.release,
                "volumes are protected by calls that came with Linux 5.12: run that or a newer "
                "kernel");
}

Finding JudgeConfiguration(const ConfigurationFacts& configuration) {
  const std::string name = "configuration";
  if (!configuration.error.empty()) {
    return Failed(name, configuration.error,
                  "mend the file (weighhouse config check FILE tries it, weighhouse config keys "
                  "lists the keys): the daemon does not start with it, and one that runs keeps the "
                  "last good one");
  }
  if (!configuration.present)
    return Sound(name, fmt::format("no {}: the defaults count", configuration.file));
  std::string overrides = configuration.overrides == 0
                              ? ""
                              : fmt::format(
                                    " ({} overrides for some nodes are valid, and left out "
                                    "here)",
                                    configuration.overrides);
  return Sound(name, fmt::format("{} is valid{}", configuration.file, overrides));
}

Finding JudgeMountKinds(const KernelFacts& kernel) {
  if (VersionOf(kernel.release) < kLeastKernel)
    return Skipped("mount-kinds", "the version does not say that there are idmapped mounts");
  if (kernel.has_overlay)
    return Sound("mount-kinds", "idmapped mounts by the kernel's version, overlay registered");
  // Modules are loaded by the first mount, so that isn't known to be missing.
  return Sound(
      "mount-kinds",
      "idmapped mounts by the kernel's version; overlay is not loaded yet, which the first "
      "scratch volume does");
}

Finding JudgeHugePages(const KernelFacts& kernel) {
  if (kernel.huge_pages == "always" || kernel.huge_pages == "madvise") {
    return Sound("huge-pages", fmt::format("transparent, {}", kernel.huge_pages));
  }
  if (kernel.huge_pages.empty())
    return Skipped("huge-pages", "the kernel does not say, or has no transparent ones");
  return Warning("huge-pages", fmt::format("transparent, {}", kernel.huge_pages),
                 "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, and at each boot "
                 "(kernel parameter transparent_hugepage=madvise): fills work without, and take "
                 "about a quarter more CPU");
}

Finding JudgeMemoryLock(const LimitFacts& limits, Bytes buffer_pool) {
  const std::string name = "memlock";
  if (!limits.memory_locked) return Sound(name, "unlimited, " + WhoseLimit(limits));
  std::string value =
      fmt::format("{} {}; the buffer pool is {} and is not locked",
                  FormatBytes(*limits.memory_locked), WhoseLimit(limits), FormatBytes(buffer_pool));
  if (*limits.memory_locked >= std::min(kUsualMemoryLock, buffer_pool)) return Sound(name, value);
  return Warning(name, value,
                 fmt::format("somebody lowered it: raise RLIMIT_MEMLOCK to {} or more "
                             "(LimitMEMLOCK=8M of the container runtime's unit, ulimit -l 8192) "
                             "{}: kernels that count io_uring's rings against it refuse them below",
                             FormatBytes(kUsualMemoryLock), Adopt(limits)));
}

Finding JudgeOpenFiles(const LimitFacts& limits, const config::Config& config) {
  const std::string name = "open-files";
  if (!limits.open_files) return Sound(name, "unlimited, " + WhoseLimit(limits));
  uint64_t needed = config.fill.connections + kPerFile * config.fill.max_active_files + kOtherFiles;
  std::string value = fmt::format("{} {}; {} connections and {} files at once take up to {}",
                                  *limits.open_files, WhoseLimit(limits), config.fill.connections,
                                  config.fill.max_active_files, needed);
  if (*limits.open_files >= needed) return Sound(name, value);
  return Failed(name, value,
                fmt::format("raise RLIMIT_NOFILE to {} or more (LimitNOFILE= of the container "
                            "runtime's unit, ulimit -n) {}, or lower fill.connections",
                            needed, Adopt(limits)));
}

}  // namespace weighhouse::cli
