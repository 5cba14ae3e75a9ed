#include "cli/doctor_facts.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/config/document.h"
#include "cli/doctor_gather.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;

/// The uid that deploy/daemonset runs weighhouse-cached as.
constexpr uid_t kUsualDaemonUid = 64100;

constexpr auto kDiskWithin = 5s;
constexpr auto kSocketWithin = 4s;
constexpr auto kSourceWithin = 12s;

/// When this was compiled, of the day (SOURCE_DATE_EPOCH counts): CMakeLists.txt.
constexpr std::chrono::sys_seconds kBuilt{std::chrono::seconds(WEIGHHOUSE_BUILD_DAY)};

/// What the file marks as chosen: "always [madvise] never".
std::string ChosenIn(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  size_t begin = line.find('['), end = line.find(']');
  return begin == std::string::npos || end == std::string::npos || end < begin
             ? ""
             : line.substr(begin + 1, end - begin - 1);
}

std::optional<uint64_t> LimitOf(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

std::optional<uint64_t> OwnLimit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

/// The mount of mountinfo (proc_pid_mountinfo(5)) that `path`, without links, lies on: the last of
/// those with the longest name, which is on top.
void FindMount(const std::string& path, KubeletFacts& facts) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point, options, optional;
    fields >> id >> parent >> device >> root >> point >> options;
    bool above = point == "/" || path == point || path.starts_with(point + "/");
    if (!above || point.size() < facts.mount_point.size()) continue;
    facts.mount_point = point;
    facts.shared = false;
    while (fields >> optional && optional != "-") {
      if (optional.starts_with("shared:")) facts.shared = true;
    }
  }
}

std::string AbsolutePath(const std::string& path) {
  std::error_code failed;
  std::string absolute = std::filesystem::absolute(path, failed).lexically_normal().string();
  if (failed) return path;
  while (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  return absolute;
}

/// The socket of the plugin, beside that of the admin; "" where the names are others.
std::string NodeSocketBeside(const std::string& admin) {
  std::filesystem::path path(admin);
  if (path.filename() != "admin.sock") return "";
  return (path.parent_path() / "node.sock").string();
}

uid_t DaemonUid(const DoctorOptions& options, const std::optional<SocketFacts>& admin) {
  if (options.uid) return *options.uid;
  if (admin && admin->info) return admin->info->uid();
  return ::geteuid() != 0 ? ::geteuid() : kUsualDaemonUid;
}

/// Without a word of whoever asks, the root is the one that the daemon works on.
std::string RootOf(const Options& options, const Facts& facts) {
  if (options.root) return *options.root;
  const ConfigurationFacts& configuration = facts.configuration;
  bool says = facts.admin && facts.admin->info && !facts.admin->info->root().empty();
  bool written = configuration.present || configuration.named;
  return says && !written ? facts.admin->info->root() : configuration.config.root;
}

void GatherSockets(const Options& options, TimedProbes& probes, Facts& facts) {
  facts.admin_path = AbsolutePath(options.socket);
  facts.node_path = NodeSocketBeside(facts.admin_path);
  facts.without_daemon = options.root && options.socket == Options().socket;
  auto ask = [&probes](const std::string& path) {
    return probes.Run<SocketFacts>(kSocketWithin, [path] { return AskSocket(path); });
  };
  facts.admin = ask(facts.admin_path);
  if (!facts.node_path.empty()) facts.node = ask(facts.node_path);
  if (!facts.admin || !facts.admin->info) return;
  auto capacity = probes.Run<std::optional<cache::v1::CapacityResponse>>(
      kSocketWithin, [path = facts.admin_path] { return AskCapacity(path); });
  if (capacity) facts.capacity = *std::move(capacity);
}

void GatherRoot(TimedProbes& probes, Facts& facts) {
  const std::string& root = facts.root;
  facts.root_facts = probes.Run<RootFacts>(kDiskWithin, [root] { return ReadRoot(root); });
  if (!facts.root_facts || !facts.root_facts->is_directory) return;
  facts.probe = probes.Run<ProbeFacts>(
      kDiskWithin, [root, uid = facts.daemon_uid] { return ProbeRoot(root, uid); });
}

void GatherSource(const DoctorOptions& options, TimedProbes& probes, Facts& facts) {
  const config::Config& config = facts.configuration.config;
  facts.authorities = ReadAuthorities(config);
  facts.source_url = SourceOf(options, config);
  if (options.offline) facts.source_left_out = "left out by --offline";
  if (config.hub_offline && !options.source)
    facts.source_left_out = "left out: sources.huggingface.offline is true";
  if (!facts.source_left_out.empty()) return;
  facts.source = probes.Run<SourceFacts>(
      kSourceWithin,
      [url = facts.source_url, config, now = facts.now] { return AskSource(url, config, now); });
}

}  // namespace

ConfigurationFacts ReadConfiguration(const DoctorOptions& options) {
  ConfigurationFacts facts{.file = options.config.value_or(DoctorOptions::kDefaultConfig),
                           .named = options.config.has_value()};
  Result<std::string> text = config::ReadDocument(facts.file);
  if (!text) {
    bool absent = text.error().code == Code::kNotFound && !facts.named;
    if (!absent) facts.error = text.error().message;
    return facts;
  }
  facts.present = true;
  Result<config::Document> document = config::ParseDocument(*text, facts.file);
  if (!document) {
    facts.error = document.error().message;
    return facts;
  }
  facts.overrides = document->overrides.size();
  facts.config = config::ConfigOf(document->For(config::Node()));
  return facts;
}

KernelFacts ReadKernel() {
  KernelFacts facts;
  utsname names{};
  if (::uname(&names) == 0) facts.release = names.release;
  facts.huge_pages = ChosenIn("/sys/kernel/mm/transparent_hugepage/enabled");
  std::ifstream filesystems("/proc/filesystems");
  for (std::string word; filesystems >> word;) facts.has_overlay |= word == "overlay";
  return facts;
}

LimitFacts ReadLimits(pid_t daemon) {
  std::ifstream limits(fmt::format("/proc/{}/limits", daemon));
  if (daemon == 0 || !limits) {
    return {.daemon = 0,
            .memory_locked = OwnLimit(RLIMIT_MEMLOCK),
            .open_files = OwnLimit(RLIMIT_NOFILE)};
  }
  LimitFacts facts{.daemon = daemon};
  auto soft = [](const std::string& line, std::string_view name) {
    return LimitOf(Trim(std::string_view(line).substr(name.size())));
  };
  constexpr std::string_view kLocked = "Max locked memory", kFiles = "Max open files";
  for (std::string line; std::getline(limits, line);) {
    if (line.starts_with(kLocked)) facts.memory_locked = soft(line, kLocked);
    if (line.starts_with(kFiles)) facts.open_files = soft(line, kFiles);
  }
  return facts;
}

KubeletFacts ReadKubelet(const std::string& path, bool named) {
  KubeletFacts facts{.path = path, .named = named};
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    facts.stat_error = errno;
    return facts;
  }
  facts.device = status.st_dev;
  std::error_code failed;
  std::filesystem::path real = std::filesystem::canonical(path, failed);
  FindMount(failed ? path : real.string(), facts);
  return facts;
}

Facts GatherFacts(const Options& options, TimedProbes& probes) {
  const DoctorOptions& doctor = options.doctor;
  Facts facts;
  facts.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  facts.built = kBuilt;
  facts.configuration = ReadConfiguration(doctor);
  facts.kernel = ReadKernel();
  GatherSockets(options, probes, facts);
  facts.daemon_uid = DaemonUid(doctor, facts.admin);
  facts.limits = ReadLimits(facts.admin && facts.admin->info ? facts.admin->listener : 0);
  facts.root = AbsolutePath(RootOf(options, facts));
  GatherRoot(probes, facts);
  facts.kubelet_dir = AbsolutePath(doctor.kubelet_dir.value_or(DoctorOptions::kDefaultKubelet));
  facts.kubelet = probes.Run<KubeletFacts>(
      kDiskWithin, [path = facts.kubelet_dir, named = doctor.kubelet_dir.has_value()] {
        return ReadKubelet(path, named);
      });
  // Just before the source is asked: what hung until now is not the clock's.
  facts.now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  GatherSource(doctor, probes, facts);
  return facts;
}

}  // namespace weighhouse::cli
