#include "cli/local_cache.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace weighhouse::cli {
namespace {

/// The uid and gid that deploy/daemonset runs weighhouse-cached as.
constexpr uid_t kDaemonUid = 64100;

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// A number from the environment; 0 if it is not one.
uint32_t EnvironmentId(const char* name) {
  const char* text = std::getenv(name);
  std::string_view digits = text == nullptr ? "" : text;
  uint32_t id = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  return error == std::errc() && end == digits.data() + digits.size() ? id : 0;
}

/// Who gets a directory that root makes.
Owner OwnerOfNew() {
  Owner behind_sudo{.uid = EnvironmentId("SUDO_UID"), .gid = EnvironmentId("SUDO_GID")};
  if (behind_sudo.uid != 0) return behind_sudo;
  return {.uid = kDaemonUid, .gid = kDaemonUid};
}

/// 0 if `owner` may use the directory, else the errno. For root only.
int AccessErrorOf(const std::string& root, Owner owner) {
  int error_number = 0;
  if (::setegid(owner.gid) != 0 || ::seteuid(owner.uid) != 0 ||
      ::faccessat(AT_FDCWD, root.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    error_number = errno;
  }
  // Root's real and saved ids stay, so the way back is open.
  CHECK(::seteuid(0) == 0 && ::setegid(0) == 0);
  return error_number;
}

Error NoAccess(const std::string& root, uid_t uid, int error_number) {
  return FailErrno(error_number,
                   fmt::format("uid {} can't use {} (every directory above must let it through, "
                               "and it needs read and write there)",
                               uid, root))
      .error();
}

/// Makes the directory if it is missing, and says who owns it.
Result<Owner> EnsureDirectory(const std::string& root) {
  struct stat status{};
  if (::stat(root.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return Owner{.uid = status.st_uid, .gid = status.st_gid};
    return Fail(Code::kFailedPrecondition,
                fmt::format("--root {} is not a directory: give one, or a path that doesn't exist "
                            "yet",
                            root));
  }
  if (errno != ENOENT) return FailErrno(errno, fmt::format("look at {}", root));
  std::error_code failed;
  std::filesystem::create_directories(root, failed);
  if (failed) return FailErrno(failed.value(), fmt::format("make {}", root));
  if (::geteuid() != 0) return Owner{.uid = ::geteuid(), .gid = ::getegid()};
  Owner owner = OwnerOfNew();
  if (::chown(root.c_str(), owner.uid, owner.gid) != 0) {
    return FailErrno(errno, fmt::format("give {} to uid {}", root, owner.uid));
  }
  if (int unreachable = AccessErrorOf(root, owner)) {
    // While this is root still: nobody else could remove it.
    std::filesystem::remove(root, failed);
    return std::unexpected(NoAccess(root, owner.uid, unreachable));
  }
  return owner;
}

Error BelongsToRoot(const std::string& root) {
  std::error_code failed;
  bool empty = std::filesystem::is_empty(root, failed);
  bool cache = std::filesystem::exists(root + "/format", failed);
  // Advice to give away whatever the directory is, such as /etc, would be followed one day.
  std::string way_out =
      empty || cache
          ? fmt::format("give the directory away first: chown -R {0}:{0} {1}", kDaemonUid, root)
          : fmt::format(
                "{} holds files but no cache: give a directory that is empty or doesn't "
                "exist yet",
                root);
  return {.code = Code::kFailedPrecondition,
          .message = fmt::format("{} belongs to root, and model files must not: root inside a "
                                 "container could write to them; {}",
                                 root, way_out)};
}

Result<> Become(const std::string& root, Owner owner) {
  if (::geteuid() != 0) return {};
  if (owner.uid == 0) return std::unexpected(BelongsToRoot(root));
  // Groups first: without uid 0 they can't be changed any more.
  if (::setgroups(0, nullptr) != 0 || ::setgid(owner.gid) != 0 || ::setuid(owner.uid) != 0) {
    return FailErrno(errno, fmt::format("become uid {}, the owner of {}", owner.uid, root));
  }
  return {};
}

Result<> CheckAccess(const std::string& root) {
  if (::access(root.c_str(), R_OK | W_OK | X_OK) == 0) return {};
  return std::unexpected(NoAccess(root, ::geteuid(), errno));
}

}  // namespace

Result<std::unique_ptr<Engine>> OpenLocalCache(const LocalCacheOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);  // connections that break say so by their errno
  ::umask(022);                // trees are read by every uid
  std::error_code failed;
  std::string root = std::filesystem::absolute(options.root, failed).lexically_normal().string();
  if (failed) return FailErrno(failed.value(), fmt::format("--root {}", options.root));
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  Owner owner = TRY(EnsureDirectory(root));
  TRY(Become(root, owner));
  TRY(CheckAccess(root));
  EngineOptions engine;
  engine.store.root = root;
  engine.hub_endpoint = options.hf_endpoint;
  engine.allow_plain_http = options.allow_plain_http;
  engine.fill.bandwidth_limit = options.bandwidth_limit;
  engine.buckets.s3_node_credentials = engine.buckets.gcs_node_credentials = true;  // their own
  // Whoever runs this may connect there by other means.
  for (const char* range :
       {"127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}) {
    source::AddressRange own = TRY(source::AddressRange::Parse(range));
    engine.allow_addresses.push_back(own);
  }
  engine.local_roots = {"/"};  // whoever runs this may read what the files' modes let them read
  return Engine::Open(engine);
}

}  // namespace weighhouse::cli
