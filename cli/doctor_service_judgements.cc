#include <cerrno>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/doctor_judgements.h"

namespace weighhouse::cli {
namespace {

using Seconds = std::chrono::seconds;

/// Caches that certificates' beginnings allow for.
constexpr Seconds kSmallSkew{30};
/// S3 refuses requests at 15 minutes (RequestTimeTooSkewed); tokens and certificates sooner.
constexpr Seconds kLargeSkew{300};

constexpr mode_t kOthersWrite = 02;

std::string SocketText(const SocketFacts& socket) {
  return fmt::format("{} (mode {:04o}, uid {}, gid {})", socket.path, socket.mode, socket.owner,
                     socket.group);
}

/// What is wrong with the file at the socket's path; Sound without a value if nothing is.
Finding JudgeSocketFile(const std::string& name, const SocketFacts& socket) {
  if (socket.stat_error == ENOENT) {
    return Failed(
        name, socket.path + " does not exist",
        "start weighhouse-cached (on a node: see the pod of the DaemonSet and its log), or "
        "name its socket with --socket");
  }
  if (socket.stat_error != 0) {
    return Failed(name, fmt::format("{}: {}", socket.path, std::strerror(socket.stat_error)),
                  "run doctor as root or as the daemon's user");
  }
  if (!socket.is_socket) {
    return Failed(name, socket.path + " is no socket",
                  "remove what is there and start weighhouse-cached again: it replaces nothing but "
                  "sockets");
  }
  return Sound(name, "");
}

/// Why nobody could be asked; Sound without a value if somebody answered.
Finding JudgeAnswer(const std::string& name, const SocketFacts& socket) {
  std::string of = SocketText(socket);
  if (socket.connect_error == ECONNREFUSED) {
    return Failed(name, of + ": nobody listens",
                  "start weighhouse-cached: the one that made the socket is gone, and its log says "
                  "why");
  }
  if (socket.connect_error == EACCES) {
    return Failed(name, of + ": Permission denied", "run doctor as root or as the daemon's user");
  }
  if (socket.connect_error != 0) {
    return Failed(name, fmt::format("{}: {}", of, std::strerror(socket.connect_error)),
                  "restart weighhouse-cached: it takes no connections");
  }
  if (!socket.call_error) return Sound(name, "");
  if (socket.call_error->code == Code::kPermissionDenied) {
    return Failed(name, fmt::format("{}: {}", of, socket.call_error->message),
                  "run doctor as root or as the daemon's user, or give the daemon --allow-uid");
  }
  return Failed(name, fmt::format("{}: takes connections, but: {}", of, socket.call_error->message),
                "see who listens (ss -xlp) and its log; if that is weighhouse-cached, restart it: "
                "running pods don't notice");
}

std::string SourceRemedy(const SourceFacts& source) {
  using enum SourceFacts::Step;
  std::string through = source.proxy.empty() ? "" : fmt::format(" (the proxy {})", source.proxy);
  switch (source.step) {
    case kUrl:
      return "give an http:// or https:// URL without user, query or fragment";
    case kResolve:
      return "see the node's DNS (/etc/resolv.conf; in a pod dnsPolicy and the cluster's DNS) and "
             "the name in sources.huggingface.endpoint or --source" +
             through;
    case kConnect:
      return "open the way in firewalls and NetworkPolicies, see whether the server runs and its "
             "port is right, or name a proxy with sources.proxy.https" +
             through;
    case kCertificate:
      return "name the certificate authority that signed it with sources.caFile (SSL_CERT_FILE for "
             "weighhouse itself); if that is right, see the check clock";
    case kAnswer:
    case kDone:
      break;
  }
  return "see the server's own state, and what is between it and this node" + through;
}

}  // namespace

Finding JudgeSocket(const std::string& name, const SocketFacts& socket, uid_t daemon_uid) {
  Finding file = JudgeSocketFile(name, socket);
  if (file.state != CheckState::kOk) return file;
  Finding answer = JudgeAnswer(name, socket);
  if (answer.state != CheckState::kOk) return answer;
  std::string value = SocketText(socket);
  if (socket.owner != daemon_uid) {
    return Failed(name, fmt::format("{}: not the daemon's, which is uid {}", value, daemon_uid),
                  fmt::format("whoever owns it can put another in its place: chown {0}:{0} {1}, or "
                              "start weighhouse-cached again, which makes it anew",
                              daemon_uid, socket.path));
  }
  if ((socket.mode & kOthersWrite) != 0) {
    return Warning(name, value + ": every user may connect",
                   fmt::format("chmod 0660 {}: the daemon refuses strangers, but each costs it a "
                               "connection",
                               socket.path));
  }
  return Sound(name, value + ": answers; root, its uid and its group may connect");
}

Finding JudgeDaemonRoot(const RootFacts& root, const cache::v1::InfoResponse& info) {
  const std::string name = "daemon-root";
  if (info.root_device() == root.device && info.root_inode() == root.inode)
    return Sound(name, "the daemon works on " + root.path);
  return Failed(name,
                fmt::format("the daemon works on {} (device {}, inode {}), and {} is another "
                            "directory (device {}, inode {})",
                            info.root(), info.root_device(), info.root_inode(), root.path,
                            uint64_t{root.device}, uint64_t{root.inode}),
                "restart the daemon if a disk was mounted there after it started; else give --root "
                "or --config as it has them");
}

Finding JudgeReload(const cache::v1::InfoResponse& info) {
  const std::string name = "daemon-configuration";
  const cache::v1::ConfigurationStatus& status = info.configuration();
  if (!status.error().empty()) {
    return Failed(
        name, "the file is not in effect: " + status.error(),
        "mend it: the daemon goes on with the last good one, and reads it again by itself");
  }
  if (status.warnings_size() > 0) {
    return Warning(name, status.warnings(0),
                   "change the configuration as said: weighhouse status "
                   "lists all warnings");
  }
  if (status.applies_at_restart_size() > 0) {
    return Warning(name, status.applies_at_restart(0) + " is not in effect before a restart",
                   "restart weighhouse-cached: running pods don't notice");
  }
  return Sound(name, status.file().empty() ? "the defaults" : status.file() + " is in effect");
}

Finding JudgeIntegrity(const cache::v1::InfoResponse& info) {
  const std::string name = "integrity";
  const cache::v1::Integrity& integrity = info.integrity();
  if (integrity.damaged_size() > 0) {
    const auto& first = integrity.damaged(0);
    return Failed(name,
                  fmt::format("{} pods have files mounted that proved bad, such as {}/{} ({})",
                              integrity.damaged_size(), first.holder().pod_namespace(),
                              first.holder().pod_name(), first.tree()),
                  "delete these pods, so that they start anew with good files (weighhouse status "
                  "lists them), and check the disk (smartctl)");
  }
  if (integrity.quarantined_blobs() > 0) {
    return Warning(name,
                   fmt::format("{} bad files ({}) in quarantine", integrity.quarantined_blobs(),
                               FormatBytes(integrity.quarantined_bytes())),
                   "check the disk (smartctl); weighhouse evict --quarantine removes them");
  }
  return Sound(name, fmt::format("no bad file; {} read again since the start",
                                 FormatBytes(integrity.bytes_verified())));
}

Finding JudgeAuthorities(const AuthoritiesFacts& authorities, bool needed) {
  const std::string name = "certificate-authorities";
  if (authorities.read_error == 0 && authorities.certificates > 0) {
    return Sound(name, fmt::format("{} in {}", authorities.certificates, authorities.file));
  }
  std::string value =
      authorities.read_error != 0
          ? fmt::format("{}: {}", authorities.file, std::strerror(authorities.read_error))
          : authorities.file + " holds no certificate";
  const std::string remedy =
      "install the package ca-certificates, or name a PEM file with sources.caFile";
  return needed ? Failed(name, value, remedy) : Warning(name, value, remedy);
}

Finding JudgeSource(const SourceFacts& source) {
  const std::string name = "source";
  std::string through = source.proxy.empty() ? "" : fmt::format(" through {}", source.proxy);
  std::string asked = source.url + through;
  if (source.step != SourceFacts::Step::kDone)
    return Failed(name, fmt::format("{}: {}", asked, source.error), SourceRemedy(source));
  std::string value =
      fmt::format("{}: HTTP {} after {} ms{}", asked, source.status, source.took.count(),
                  source.encrypted && source.status != 407 ? ", its certificate is trusted" : "");
  if (source.status == 429) {
    return Warning(name, value,
                   "wait: this address asked too much; pods' own tokens have larger budgets");
  }
  // Only our way to ask (HEAD) is what a server doesn't have that says 501.
  if ((source.status >= 500 && source.status != 501) || source.status == 407) {
    return Failed(name, value,
                  source.status == 407
                      ? "give the proxy's user and password in sources.proxy or HTTPS_PROXY"
                      : "wait until the server is well again, or list a mirror in "
                        "sources.huggingface.mirrors; what is cached is served meanwhile");
  }
  return Sound(name, value);
}

Finding JudgeClock(std::chrono::sys_seconds now, std::chrono::sys_seconds built,
                   std::optional<Seconds> ahead) {
  const std::string name = "clock";
  auto shown = [](std::chrono::sys_seconds time) {
    auto day = std::chrono::floor<std::chrono::days>(time);
    std::chrono::year_month_day date(day);
    std::chrono::hh_mm_ss of_day(time - day);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       of_day.hours().count(), of_day.minutes().count(), of_day.seconds().count());
  };
  const std::string remedy =
      "set it by NTP (timedatectl set-ntp true, chronyc makestep): certificates, tokens and signed "
      "requests are refused by it";
  if (now < built) {
    return Failed(name,
                  fmt::format("{}, before this program was built ({})", shown(now), shown(built)),
                  remedy);
  }
  if (!ahead) return Sound(name, shown(now) + ", compared with no source");
  Seconds off = *ahead < Seconds(0) ? -*ahead : *ahead;
  if (off <= kSmallSkew) return Sound(name, shown(now) + ", as the source's");
  std::string value = fmt::format("{}, {} {} the source's", shown(now), FormatDuration(off),
                                  *ahead > Seconds(0) ? "ahead of" : "behind");
  return off <= kLargeSkew ? Warning(name, value, remedy) : Failed(name, value, remedy);
}

}  // namespace weighhouse::cli
