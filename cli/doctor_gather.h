#pragma once

#include <string>

#include "cli/doctor_facts.h"
#include "cli/doctor_options.h"
#include "cli/doctor_probes.h"
#include "cli/options.h"

/// The seam between `doctor` and the machine: nothing here judges. None changes anything but the
/// root's probe, whose file has no name (or loses it before anything is written).
namespace weighhouse::cli {

ConfigurationFacts ReadConfiguration(const DoctorOptions& options);
KernelFacts ReadKernel();
/// Of the process `daemon` if it can be seen (0: it can't), else of this one.
LimitFacts ReadLimits(pid_t daemon);
/// May block as long as the disk does.
RootFacts ReadRoot(const std::string& path);
/// Writes one block in the root as `uid` and reads it back. Makes the calling thread that user for
/// good: for a thread of its own. May block as long as the disk does.
ProbeFacts ProbeRoot(const std::string& path, uid_t uid);
/// May block as long as its mount does.
KubeletFacts ReadKubelet(const std::string& path, bool named);
/// Connects, and asks for Info. Takes about two seconds at most.
SocketFacts AskSocket(const std::string& path);
/// What the daemon at `path` says of its space; nothing if it doesn't.
std::optional<cache::v1::CapacityResponse> AskCapacity(const std::string& path);
AuthoritiesFacts ReadAuthorities(const config::Config& config);
/// The Hub's endpoint, where `options` name no source.
std::string SourceOf(const DoctorOptions& options, const config::Config& config);
/// Asks it once, for nothing but headers. Takes about ten seconds at most, but for the DNS.
SourceFacts AskSource(const std::string& url, const config::Config& config,
                      std::chrono::sys_seconds now);

/// All of them, each for a time at most.
Facts GatherFacts(const Options& options, TimedProbes& probes);

}  // namespace weighhouse::cli
