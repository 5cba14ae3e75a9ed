#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <new>
#include <span>
#include <sstream>

#include <fmt/format.h>

#include "base/text.h"
#include "base/unique_fd.h"
#include "cache-daemon/io/buffer_pool.h"
#include "cache-daemon/io/ring.h"
#include "cli/doctor_gather.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kBlock = io::BufferPool::kAlignment;

/// What a root may hold before it has a file `format` (store/root.cc).
bool MayPrecedeFormat(std::string_view name) {
  return name == "lock" || name == "lost+found" || name.starts_with(".probe") ||
         name.starts_with("format.");
}

void ReadNames(const std::string& path, RootFacts& facts) {
  std::error_code failed;
  facts.has_cache = std::filesystem::exists(path + "/format", failed);
  if (facts.has_cache) return;
  std::filesystem::directory_iterator entries(path, failed), end;
  for (; !failed && entries != end; entries.increment(failed)) {
    std::string name = entries->path().filename().string();
    if (!MayPrecedeFormat(name)) facts.foreign = name;
  }
  facts.listed = !failed;
}

/// Looks in /proc/locks (proc_locks(5)): to try the lock would keep a daemon from it that is just
/// starting.
void ReadLock(const std::string& path, RootFacts& facts) {
  struct stat lock{};
  if (::stat((path + "/lock").c_str(), &lock) != 0) return;
  std::string wanted =
      fmt::format("{:02x}:{:02x}:{}", major(lock.st_dev), minor(lock.st_dev), lock.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // Who waits has an arrow before the kind, and so fits nothing.
    std::istringstream fields(line);
    std::string number, kind, mode, access, where;
    long pid = 0;
    fields >> number >> kind >> mode >> access >> pid >> where;
    if (kind != "FLOCK" || where != wanted) continue;
    facts.locked_by = static_cast<pid_t>(pid);
    std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), facts.locked_by_name);
    return;
  }
}

/// 0, or an errno value. By the system calls themselves: those of the C library change all threads.
int BecomeOnThisThread(uid_t uid) {
  if (::geteuid() == uid) return 0;
  std::array<char, 4096> space{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, space.data(), space.size(), &found);
  gid_t gid = found != nullptr ? found->pw_gid : uid;
  if (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, gid, gid, gid) != 0 ||
      ::syscall(SYS_setresuid, uid, uid, uid) != 0) {
    return errno;
  }
  return 0;
}

/// A file without a name, where the filesystem has that; else one whose name goes at once.
UniqueFd OpenProbe(const std::string& root, int flags) {
  UniqueFd nameless(::open(root.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600));
  if (nameless || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return nameless;
  // A name that a daemon which starts this moment doesn't mind.
  std::string name = fmt::format("{}/.probe-doctor-{}", root, ::getpid());
  UniqueFd named(
      ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
  int error_number = errno;
  // open(2) leaves the file behind where only O_DIRECT is refused.
  if (named || error_number == EINVAL) ::unlink(name.c_str());
  errno = error_number;
  return named;
}

struct FreeBlock {
  void operator()(std::byte* block) const { ::operator delete[](block, std::align_val_t(kBlock)); }
};
using Block = std::unique_ptr<std::byte[], FreeBlock>;

Block NewBlock(int value) {
  Block block(new (std::align_val_t(kBlock)) std::byte[kBlock]);
  std::memset(block.get(), value, kBlock);
  return block;
}

template <class Begin>
int WaitFor(Begin begin) {
  std::promise<int> done;
  begin([&done](int error_number) { done.set_value(error_number); });
  return done.get_future().get();
}

/// By io_uring, if the node lets us.
void WriteAndRead(int fd, io::IoEngine* engine, ProbeFacts& facts) {
  constexpr int kPattern = 0x5a;
  Block written = NewBlock(kPattern), read = NewBlock(0);
  std::span<const std::byte> data(written.get(), kBlock);
  std::span<std::byte> space(read.get(), kBlock);
  if (engine != nullptr) {
    facts.write_error = WaitFor([&](auto done) { engine->Write(fd, 0, data, done); });
    if (facts.write_error == 0)
      facts.write_error = WaitFor([&](auto done) { engine->Read(fd, 0, space, done); });
  } else if (::pwrite(fd, data.data(), kBlock, 0) != static_cast<ssize_t>(kBlock) ||
             ::pread(fd, space.data(), kBlock, 0) != static_cast<ssize_t>(kBlock)) {
    facts.write_error = errno;
  }
  facts.read_back = facts.write_error == 0 && std::ranges::equal(data, space);
}

}  // namespace

RootFacts ReadRoot(const std::string& path) {
  RootFacts facts{.path = path};
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    facts.stat_error = errno;
    return facts;
  }
  facts.is_directory = S_ISDIR(status.st_mode);
  facts.owner = status.st_uid;
  facts.mode = status.st_mode & 07777;
  facts.device = status.st_dev;
  facts.inode = status.st_ino;
  if (!facts.is_directory) return facts;
  struct statfs kind{};
  if (::statfs(path.c_str(), &kind) == 0) facts.filesystem = kind.f_type;
  struct statvfs sizes{};
  if (::statvfs(path.c_str(), &sizes) == 0) {
    facts.read_only = (sizes.f_flag & ST_RDONLY) != 0;
    facts.total = Bytes{sizes.f_blocks} * sizes.f_frsize;
    facts.free = Bytes{sizes.f_bavail} * sizes.f_frsize;
    facts.inodes = sizes.f_files;
    facts.inodes_free = sizes.f_favail;
  }
  ReadNames(path, facts);
  ReadLock(path, facts);
  return facts;
}

ProbeFacts ProbeRoot(const std::string& path, uid_t uid) {
  ProbeFacts facts{.uid = uid};
  facts.become_error = BecomeOnThisThread(uid);
  if (facts.become_error != 0) return facts;
  facts.ring_facts = io::ReadRingFacts();
  auto ring = io::RingEngine::Create();
  if (!ring) facts.ring_refusal = ring.error();
  UniqueFd direct = OpenProbe(path, O_DIRECT);
  UniqueFd fd = std::move(direct);
  if (!fd) {
    facts.direct_error = errno;
    fd = OpenProbe(path, 0);
  }
  if (!fd) {
    facts.create_error = errno;
    return facts;
  }
  WriteAndRead(fd.get(), ring ? ring->get() : nullptr, facts);
  return facts;
}

}  // namespace weighhouse::cli
