#include "cli/doctor_judgements.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace weighhouse::cli {
namespace {

/// kubelet removes images at 85 % full (imageGCHighThresholdPercent), and evicts pods at 10 % free
/// (nodefs.available).
constexpr double kAdvisedPercent = 20;

const cache::v1::InfoResponse* AnswerOf(const Facts& facts) {
  return facts.admin && facts.admin->info ? &*facts.admin->info : nullptr;
}

/// Of a daemon that works on the root that is looked at.
const cache::v1::CapacityResponse* CapacityOf(const Facts& facts, const RootFacts& root) {
  const cache::v1::InfoResponse* info = AnswerOf(facts);
  bool same =
      info != nullptr && info->root_device() == root.device && info->root_inode() == root.inode;
  return same && facts.capacity ? &*facts.capacity : nullptr;
}

void AddNode(const Facts& facts, Findings& findings) {
  findings.push_back(JudgeKernel(facts.kernel));
  findings.push_back(JudgeMountKinds(facts.kernel));
  findings.push_back(JudgeHugePages(facts.kernel));
  findings.push_back(JudgeConfiguration(facts.configuration));
  findings.push_back(JudgeMemoryLock(facts.limits, facts.configuration.config.buffer_memory));
  findings.push_back(JudgeOpenFiles(facts.limits, facts.configuration.config));
}

void AddRoot(const Facts& facts, Findings& findings) {
  if (!facts.root_facts) {
    findings.push_back(Failed("root", facts.root + " does not answer in time",
                              "its disk or its server hangs: see the kernel's log, and put the "
                              "cache root on ext4 or xfs of a local disk"));
    return;
  }
  const RootFacts& root = *facts.root_facts;
  const config::Config& config = facts.configuration.config;
  findings.push_back(JudgeRoot(root, facts.daemon_uid));
  if (root.stat_error != 0 || !root.is_directory) return;
  bool shared = facts.kubelet && SharesNodeFilesystem(root, *facts.kubelet);
  findings.push_back(JudgeFilesystem(root));
  if (facts.probe) {
    findings.push_back(JudgeWriting(root, *facts.probe));
    findings.push_back(JudgeDirectIo(*facts.probe));
    findings.push_back(JudgeIoUring(*facts.probe, config.write_engine));
  } else {
    findings.push_back(Failed(
        "writing", "a block that was written to " + facts.root + " did not come back in time",
        "its disk hangs or is overloaded: see the kernel's log"));
  }
  findings.push_back(JudgeSpace(root, config, shared, CapacityOf(facts, root)));
  findings.push_back(JudgeLimit(root, config));
  findings.push_back(JudgeInodes(root));
  findings.push_back(JudgeLock(root, AnswerOf(facts)));
  if (facts.kubelet && facts.kubelet->stat_error == 0)
    findings.push_back(JudgeNodeFilesystem(root, *facts.kubelet, config));
}

void AddKubelet(const Facts& facts, Findings& findings) {
  if (facts.kubelet) {
    findings.push_back(JudgePropagation(*facts.kubelet));
    return;
  }
  findings.push_back(Failed("kubelet-mounts", facts.kubelet_dir + " does not answer in time",
                            "a mount hangs there: see the kernel's log"));
}

void AddSocket(const Facts& facts, const std::string& name, const std::string& path,
               const std::optional<SocketFacts>& socket, Findings& findings) {
  if (!socket) {
    findings.push_back(Failed(name, path + " does not answer in time",
                              "see who listens there (ss -xlp) and its log, and restart it"));
    return;
  }
  if (facts.without_daemon && socket->stat_error == ENOENT) {
    findings.push_back(Skipped(name, "none at " + path + ", and --root needs none"));
    return;
  }
  findings.push_back(JudgeSocket(name, *socket, facts.daemon_uid));
}

void AddDaemon(const Facts& facts, Findings& findings) {
  AddSocket(facts, "admin-socket", facts.admin_path, facts.admin, findings);
  if (!facts.node_path.empty())
    AddSocket(facts, "node-socket", facts.node_path, facts.node, findings);
  const cache::v1::InfoResponse* info = AnswerOf(facts);
  if (info == nullptr) return;
  if (facts.root_facts && facts.root_facts->stat_error == 0)
    findings.push_back(JudgeDaemonRoot(*facts.root_facts, *info));
  findings.push_back(JudgeReload(*info));
  findings.push_back(JudgeIntegrity(*info));
}

void AddSource(const Facts& facts, Findings& findings) {
  bool needed = facts.source_left_out.empty() && facts.source_url.starts_with("https://");
  findings.push_back(JudgeAuthorities(facts.authorities, needed));
  if (!facts.source_left_out.empty()) {
    findings.push_back(Skipped("source", facts.source_left_out));
  } else if (facts.source) {
    findings.push_back(JudgeSource(*facts.source));
  } else {
    findings.push_back(Failed("source", facts.source_url + " does not answer in time",
                              "see the node's DNS and the way to the server"));
  }
  findings.push_back(
      JudgeClock(facts.now, facts.built, facts.source ? facts.source->ahead : std::nullopt));
}

}  // namespace

bool SharesNodeFilesystem(const RootFacts& root, const KubeletFacts& kubelet) {
  return kubelet.stat_error == 0 && root.stat_error == 0 && root.device == kubelet.device;
}

Finding JudgePropagation(const KubeletFacts& kubelet) {
  const std::string name = "kubelet-mounts";
  if (kubelet.stat_error == ENOENT && !kubelet.named) {
    return Skipped(name, fmt::format("no {} here: name kubelet's directory with --kubelet-dir, or "
                                     "run doctor on the node",
                                     kubelet.path));
  }
  if (kubelet.stat_error != 0) {
    return Failed(name, fmt::format("{}: {}", kubelet.path, std::strerror(kubelet.stat_error)),
                  "give kubelet's --root-dir as --kubelet-dir");
  }
  if (kubelet.shared)
    return Sound(name,
                 fmt::format("{} lies on {}, which is shared", kubelet.path, kubelet.mount_point));
  return Failed(
      name, fmt::format("{} lies on {}, which is not shared", kubelet.path, kubelet.mount_point),
      fmt::format("mount --make-rshared {} (and at each boot), and give the plugin's "
                  "container kubelet's directory with mountPropagation: Bidirectional: "
                  "else volumes are mounted where no pod sees them",
                  kubelet.mount_point));
}

Finding JudgeNodeFilesystem(const RootFacts& root, const KubeletFacts& kubelet,
                            const config::Config& config) {
  const std::string name = "node-filesystem";
  if (!SharesNodeFilesystem(root, kubelet))
    return Sound(name, "the cache has a filesystem of its own beside kubelet's");
  Bytes advised = config::SpaceShare{.percent = kAdvisedPercent}.Of(root.total);
  bool enough = !config.min_free || config.min_free->Of(root.total) >= advised;
  std::string value = fmt::format("{} shares the filesystem of {}", root.path, kubelet.path);
  const std::string own = "give the cache a filesystem of its own";
  if (enough) {
    return Warning(name, value + ": cache.minFree keeps enough free, at the cache's cost",
                   own +
                       ": whatever else fills this one takes the cache's room, and idle models "
                       "are evicted for it");
  }
  return Warning(name,
                 fmt::format("{}, and cache.minFree keeps {} free", value,
                             FormatBytes(config.min_free->Of(root.total))),
                 fmt::format("{}, or set cache.minFree to {} (20%) or more: kubelet removes images "
                             "at 85 % full and evicts pods at 90 %",
                             own, FormatBytes(advised)));
}

Findings Judge(const Facts& facts) {
  Findings findings;
  AddNode(facts, findings);
  AddRoot(facts, findings);
  AddKubelet(facts, findings);
  AddDaemon(facts, findings);
  AddSource(facts, findings);
  return findings;
}

}  // namespace weighhouse::cli
