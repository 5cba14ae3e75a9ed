#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/doctor_judgements.h"

namespace weighhouse::cli {
namespace {

// Not in linux/magic.h (statfs(2) lists them).
constexpr int64_t kCifs = 0xFF534D42, kCeph = 0x00C36400;

enum class Use { kGood, kUntried, kRefused };

struct KnownFilesystem {
  int64_t type;
  std::string_view name;
  Use use;
};

constexpr std::array kFilesystems = {
    KnownFilesystem{EXT4_SUPER_MAGIC, "ext4", Use::kGood},
    KnownFilesystem{XFS_SUPER_MAGIC, "xfs", Use::kGood},
    KnownFilesystem{BTRFS_SUPER_MAGIC, "btrfs", Use::kUntried},
    KnownFilesystem{F2FS_SUPER_MAGIC, "f2fs", Use::kUntried},
    KnownFilesystem{TMPFS_MAGIC, "tmpfs", Use::kRefused},
    KnownFilesystem{RAMFS_MAGIC, "ramfs", Use::kRefused},
    KnownFilesystem{OVERLAYFS_SUPER_MAGIC, "overlay", Use::kRefused},
    KnownFilesystem{NFS_SUPER_MAGIC, "nfs", Use::kRefused},
    KnownFilesystem{SMB2_SUPER_MAGIC, "smb", Use::kRefused},
    KnownFilesystem{kCifs, "cifs", Use::kRefused},
    KnownFilesystem{kCeph, "ceph", Use::kRefused},
    KnownFilesystem{FUSE_SUPER_MAGIC, "fuse", Use::kRefused},
    KnownFilesystem{V9FS_MAGIC, "9p", Use::kRefused},
};

/// Less than that, and not even records can be written.
constexpr Bytes kHardlyAny = 16 * kMiB;
/// A model has a score of files; records and directories come beside them.
constexpr uint64_t kHardlyAnyInodes = 256;
constexpr uint64_t kFewInodesPart = 20;  ///< one in so many

/// As the daemon's own defaults (docs/configuration.md, cache.minFree).
constexpr config::SpaceShare kSharedMinFree{.percent = 20}, kOwnMinFree{.percent = 5};

/// Advice to give away whatever the directory is, such as /etc, would be followed one day.
std::string GiveAway(const RootFacts& root, uid_t uid) {
  bool is_the_caches = root.has_cache || (root.listed && root.foreign.empty());
  if (!is_the_caches) return "name a directory that is empty, or a cache, with cache.root";
  return fmt::format("chown -R {0}:{0} {1}", uid, root.path);
}

std::string Why(int error_number) { return std::strerror(error_number); }

}  // namespace

Finding JudgeRoot(const RootFacts& root, uid_t daemon_uid) {
  const std::string name = "root";
  if (root.stat_error == ENOENT) {
    return Failed(name, root.path + " does not exist",
                  fmt::format("make it on ext4 or xfs and give it to the daemon: install -d -o {0} "
                              "-g {0} -m 0755 {1}; or name the right one with --root or --config",
                              daemon_uid, root.path));
  }
  if (root.stat_error != 0) {
    return Failed(name, fmt::format("{}: {}", root.path, Why(root.stat_error)),
                  "run doctor as root; if it is, the disk below does not answer: see the kernel's "
                  "log");
  }
  if (!root.is_directory) {
    return Failed(name, root.path + " is not a directory",
                  "name a directory with cache.root (a symbolic link is not followed)");
  }
  if (!root.foreign.empty()) {
    return Failed(name,
                  fmt::format("{} holds '{}' but no file 'format', so it is no cache", root.path,
                              root.foreign),
                  "give an empty directory, or the right one, as cache.root");
  }
  if (root.owner == 0) {
    return Failed(
        name, root.path + " belongs to root",
        "model files must not belong to root, because root inside a container could write "
        "to them: " +
            GiveAway(root, daemon_uid));
  }
  std::string holds = root.listed ? "empty" : "what it holds can't be read by who asks";
  return Sound(name, fmt::format("{}, of uid {}, {}", root.path, root.owner,
                                 root.has_cache ? "holds a cache" : holds));
}

Finding JudgeFilesystem(const RootFacts& root) {
  const std::string name = "filesystem";
  const std::string remedy =
      "put the cache root on ext4 or xfs of a local disk: mount one there, or move cache.root";
  auto known = std::ranges::find(kFilesystems, root.filesystem, &KnownFilesystem::type);
  if (known == kFilesystems.end()) {
    return Warning(name, fmt::format("an unknown one (type {:#x})", root.filesystem), remedy);
  }
  std::string value(known->name);
  if (known->use == Use::kRefused) {
    return Failed(name, value + ", which does not keep a cache or can't protect its files", remedy);
  }
  if (root.read_only) {
    return Failed(name, value + ", mounted read-only",
                  "see the kernel's log for an error of the disk (ext4 turns read-only then), and "
                  "mount it writable");
  }
  if (known->use == Use::kUntried) return Warning(name, value + ", which is not tested", remedy);
  return Sound(name, value);
}

Finding JudgeWriting(const RootFacts& root, const ProbeFacts& probe) {
  const std::string name = "writing";
  if (probe.become_error != 0) {
    return Skipped(name, fmt::format("can't try it as uid {}: {}; run doctor as root or as that "
                                     "user",
                                     probe.uid, Why(probe.become_error)));
  }
  std::string of = fmt::format("uid {} in {} (mode {:04o}, of uid {})", probe.uid, root.path,
                               root.mode, root.owner);
  int failed = probe.create_error != 0 ? probe.create_error : probe.write_error;
  if (failed == ENOSPC || failed == EDQUOT) {
    return Failed(name, fmt::format("{}: {}", of, Why(failed)),
                  "make room: see the checks space and inodes; EDQUOT is the user's quota");
  }
  if (failed == EACCES || failed == EPERM) {
    return Failed(name, fmt::format("{}: {}", of, Why(failed)),
                  fmt::format("give the root to the daemon's user: {}; every directory above must "
                              "let it through (chmod o+x)",
                              GiveAway(root, probe.uid)));
  }
  if (failed != 0) {
    return Failed(name, fmt::format("{}: {}", of, Why(failed)),
                  "see the kernel's log for what the disk says, and mount it writable");
  }
  if (!probe.read_back) {
    return Failed(name, of + ": a block that was written does not read back",
                  "don't trust this disk: check it (smartctl, fsck) and replace it");
  }
  if (root.owner != probe.uid) {
    return Warning(name, of + ": works, but the root is another user's",
                   "the daemon's files should be its own: " + GiveAway(root, probe.uid));
  }
  return Sound(name, of);
}

Finding JudgeDirectIo(const ProbeFacts& probe) {
  const std::string name = "direct-io";
  if (probe.become_error != 0 || probe.create_error != 0)
    return Skipped(name, "no file could be made to try it with: see the check writing");
  if (probe.direct_error == 0) return Sound(name, "a block was written past the page cache");
  return Warning(name, fmt::format("O_DIRECT is refused: {}", Why(probe.direct_error)),
                 "put the cache root on ext4 (not data=journal) or xfs: fills go through the page "
                 "cache here, which takes memory from pods and is slower");
}

Finding JudgeIoUring(const ProbeFacts& probe, io::IoEngineChoice choice) {
  const std::string name = "io-uring";
  if (choice == io::IoEngineChoice::kPwrite)
    return Skipped(name, "the configuration asks for pwrite");
  if (probe.become_error != 0)
    return Skipped(name,
                   fmt::format("can't try it as uid {}: {}", probe.uid, Why(probe.become_error)));
  const std::string& disabled = probe.ring_facts.disabled_sysctl;
  std::string sysctl =
      disabled.empty() ? "" : fmt::format(" (kernel.io_uring_disabled {})", disabled);
  if (!probe.ring_refusal) return Sound(name, fmt::format("works for uid {}{}", probe.uid, sysctl));
  std::string value = io::ExplainRefusal(*probe.ring_refusal, probe.ring_facts);
  if (choice == io::IoEngineChoice::kIoUring) {
    return Failed(name, value,
                  "allow it as said, or leave fill.engine at auto: the daemon does not start");
  }
  return Warning(name, value,
                 "allow it as said (deploy/daemonset brings a seccomp profile that does): without "
                 "it the daemon writes with threads, which costs CPU");
}

Finding JudgeSpace(const RootFacts& root, const config::Config& config, bool shared,
                   const cache::v1::CapacityResponse* capacity) {
  const std::string name = "space";
  Bytes min_free = config.min_free.value_or(shared ? kSharedMinFree : kOwnMinFree).Of(root.total);
  if (capacity != nullptr) min_free = capacity->min_free();
  std::string value = fmt::format("{} free of {}, {} of it kept free", FormatBytes(root.free),
                                  FormatBytes(root.total), FormatBytes(min_free));
  const std::string remedy =
      "free space on this filesystem, give the cache a larger one, or lower cache.minFree";
  if (root.free < kHardlyAny) return Failed(name, value, remedy);
  if (capacity != nullptr && capacity->available() == 0) {
    return Failed(name,
                  fmt::format("{}; the cache uses {}, of which {} are held by pods, kept or bad",
                              value, FormatBytes(capacity->used()), FormatBytes(capacity->held())),
                  "no new model fits: raise cache.limit, end pods that hold models "
                  "(weighhouse ls), or " +
                      remedy);
  }
  // A cache that is full is as it should be: it evicts what is idle.
  if (root.free > min_free || root.has_cache) return Sound(name, value);
  return Failed(name, value, remedy);
}

Finding JudgeLimit(const RootFacts& root, const config::Config& config) {
  const std::string name = "limit";
  if (!config.limit) return Sound(name, "the filesystem's size");
  Bytes limit = config.limit->Of(root.total);
  std::string value =
      fmt::format("{} of a filesystem of {}", FormatBytes(limit), FormatBytes(root.total));
  if (limit <= root.total) return Sound(name, value);
  return Warning(
      name, value,
      fmt::format("lower cache.limit to {} or less, or mount the disk that was meant for "
                  "the cache at {}: pods are promised room that isn't there",
                  FormatBytes(root.total), root.path));
}

Finding JudgeInodes(const RootFacts& root) {
  const std::string name = "inodes";
  if (root.inodes == 0) return Sound(name, "made as they are needed");
  std::string value = fmt::format("{} free of {}", root.inodes_free, root.inodes);
  const std::string remedy =
      "remove small files from this filesystem, or make it with more inodes (mkfs.ext4 -N; xfs: "
      "xfs_growfs -m)";
  if (root.inodes_free < kHardlyAnyInodes) return Failed(name, value, remedy);
  if (root.inodes_free < root.inodes / kFewInodesPart) return Warning(name, value, remedy);
  return Sound(name, value);
}

Finding JudgeLock(const RootFacts& root, const cache::v1::InfoResponse* answers) {
  const std::string name = "root-lock";
  bool daemon_has_it = answers != nullptr && answers->root_device() == root.device &&
                       answers->root_inode() == root.inode;
  if (daemon_has_it) return Sound(name, "of the daemon that answers");
  if (root.locked_by == 0) return Sound(name, "nobody that can be seen from here has it");
  return Failed(
      name,
      fmt::format("{} is in use by process {} ({})", root.path, root.locked_by,
                  root.locked_by_name),
      fmt::format("stop process {}, or give it or this daemon a root of its own; if it is "
                  "the daemon that was meant, name its socket with --socket",
                  root.locked_by));
}

}  // namespace weighhouse::cli
