#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/config/config.h"
#include "cache-daemon/io/ring_refusal.h"
#include "proto/cache.pb.h"

/// What `doctor` found out about the node, without a judgement. Whatever is an `int …_error` is an
/// errno value, 0 for none.
namespace weighhouse::cli {

struct ConfigurationFacts {
  std::string file;
  bool named = false;    ///< by --config
  bool present = false;  ///< there, and readable
  std::string error;     ///< why it can't be taken; empty: it can
  size_t overrides = 0;
  config::Config config;  ///< what counts: the file's, or the defaults
};

struct KernelFacts {
  std::string release;     ///< uname(2), such as "6.1.0-13-amd64"
  std::string huge_pages;  ///< of /sys/kernel/mm/transparent_hugepage/enabled; empty: there is none
  bool has_overlay = false;
};

/// Of the daemon if its process can be seen, else of who asks.
struct LimitFacts {
  pid_t daemon = 0;                       ///< whose they are; 0: our own
  std::optional<uint64_t> memory_locked;  ///< bytes; unset: unlimited
  std::optional<uint64_t> open_files;     ///< unset: unlimited
};

struct RootFacts {
  std::string path;
  int stat_error = 0;
  bool is_directory = false;
  uid_t owner = 0;
  mode_t mode = 0;  ///< permission bits
  dev_t device = 0;
  ino_t inode = 0;
  int64_t filesystem = 0;  ///< f_type of statfs(2)
  bool read_only = false;
  Bytes total = 0;
  Bytes free = 0;            ///< for an unprivileged process
  uint64_t inodes = 0;       ///< 0: made as they are needed
  uint64_t inodes_free = 0;  ///< for an unprivileged process
  bool has_cache = false;    ///< it has a file `format`
  std::string foreign;       ///< a name in it that no cache has, where there is no `format`
  bool listed = true;        ///< what it holds could be read
  /// Who has its lock, by /proc/locks; 0: nobody that can be seen from here.
  pid_t locked_by = 0;
  std::string locked_by_name;  ///< of its program
};

/// How a file in the root could be written as the daemon's user.
struct ProbeFacts {
  uid_t uid = 0;
  int become_error = 0;  ///< we couldn't be that user: nothing else was tried
  int create_error = 0;
  int direct_error = 0;  ///< of opening it with O_DIRECT
  int write_error = 0;   ///< of one block, past the page cache where that opened
  bool read_back = false;
  std::optional<io::RingRefusal> ring_refusal;
  io::RingFacts ring_facts;
};

struct KubeletFacts {
  std::string path;
  bool named = false;  ///< by --kubelet-dir
  int stat_error = 0;
  dev_t device = 0;
  std::string mount_point;  ///< that it lies on
  bool shared = false;      ///< mounts below it reach the mount's peers
};

struct SocketFacts {
  std::string path;
  int stat_error = 0;
  bool is_socket = false;
  uid_t owner = 0;
  gid_t group = 0;
  mode_t mode = 0;  ///< permission bits
  int connect_error = 0;
  pid_t listener = 0;  ///< as far as its process can be seen from here
  std::optional<Error> call_error;
  std::optional<cache::v1::InfoResponse> info;  ///< what it answered
};

struct SourceFacts {
  enum class Step { kUrl, kResolve, kConnect, kCertificate, kAnswer, kDone };
  std::string url;    ///< without secrets
  std::string proxy;  ///< without its user; empty: none
  bool encrypted = false;
  Step step = Step::kDone;  ///< that failed
  std::string error;
  int status = 0;
  std::optional<std::chrono::seconds> ahead;  ///< our clock, of the answer's Date
  std::chrono::milliseconds took{0};
};

struct AuthoritiesFacts {
  std::string file;
  int read_error = 0;
  size_t certificates = 0;
};

/// All of it. Unset: it took longer than it may, or it was left out.
struct Facts {
  ConfigurationFacts configuration;
  KernelFacts kernel;
  LimitFacts limits;
  uid_t daemon_uid = 0;
  std::string root;
  std::optional<RootFacts> root_facts;
  std::optional<ProbeFacts> probe;
  std::string kubelet_dir;
  std::optional<KubeletFacts> kubelet;
  std::string admin_path, node_path;
  bool without_daemon = false;  ///< --root, and no --socket: none is expected
  std::optional<SocketFacts> admin, node;
  std::optional<cache::v1::CapacityResponse> capacity;
  AuthoritiesFacts authorities;
  std::string source_left_out;  ///< why no source was asked; empty: one was
  std::string source_url;
  std::optional<SourceFacts> source;
  std::chrono::sys_seconds now, built;
};

}  // namespace weighhouse::cli
