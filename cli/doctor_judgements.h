#pragma once

#include "cli/doctor_facts.h"
#include "cli/doctor_finding.h"

/// What `doctor` makes of the facts: pure functions, each one check. Whatever isn't ok names the
/// value and the way out.
namespace weighhouse::cli {

/// All checks, in the order in which a reader mends a node: the node, the root, kubelet, the
/// daemon, the source.
Findings Judge(const Facts& facts);

// The node
Finding JudgeKernel(const KernelFacts& kernel);
Finding JudgeConfiguration(const ConfigurationFacts& configuration);
/// What volumes need of the kernel: idmapped mounts for protection, overlays for scratch.
Finding JudgeMountKinds(const KernelFacts& kernel);
Finding JudgeHugePages(const KernelFacts& kernel);
Finding JudgeMemoryLock(const LimitFacts& limits, Bytes buffer_pool);
Finding JudgeOpenFiles(const LimitFacts& limits, const config::Config& config);

// The root. Those but JudgeRoot count only where it is a directory.
Finding JudgeRoot(const RootFacts& root, uid_t daemon_uid);
Finding JudgeFilesystem(const RootFacts& root);
Finding JudgeWriting(const RootFacts& root, const ProbeFacts& probe);
Finding JudgeDirectIo(const ProbeFacts& probe);
Finding JudgeIoUring(const ProbeFacts& probe, io::IoEngineChoice choice);
/// `capacity`: of a daemon that answers for this root; null: none does.
Finding JudgeSpace(const RootFacts& root, const config::Config& config, bool shared,
                   const cache::v1::CapacityResponse* capacity);
Finding JudgeLimit(const RootFacts& root, const config::Config& config);
Finding JudgeInodes(const RootFacts& root);
/// `answers`: what the daemon behind the admin socket said; null: none did.
Finding JudgeLock(const RootFacts& root, const cache::v1::InfoResponse* answers);

// Kubelet
Finding JudgePropagation(const KubeletFacts& kubelet);
Finding JudgeNodeFilesystem(const RootFacts& root, const KubeletFacts& kubelet,
                            const config::Config& config);

// The daemon
Finding JudgeSocket(const std::string& name, const SocketFacts& socket, uid_t daemon_uid);
Finding JudgeDaemonRoot(const RootFacts& root, const cache::v1::InfoResponse& info);
/// Whether the daemon has its configuration file in effect.
Finding JudgeReload(const cache::v1::InfoResponse& info);
Finding JudgeIntegrity(const cache::v1::InfoResponse& info);

// The source
Finding JudgeAuthorities(const AuthoritiesFacts& authorities, bool needed);
Finding JudgeSource(const SourceFacts& source);
/// `ahead`: how far it is before the source's; unset: no source said.
Finding JudgeClock(std::chrono::sys_seconds now, std::chrono::sys_seconds built,
                   std::optional<std::chrono::seconds> ahead);

/// True if cache root and kubelet's directory lie on one filesystem.
bool SharesNodeFilesystem(const RootFacts& root, const KubeletFacts& kubelet);

}  // namespace weighhouse::cli
