#include "test/e2e/attacker/attempts.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "base/unique_fd.h"

namespace weighhouse::attacker {
namespace {

constexpr char kMark[] = "overwritten";

bool Writes(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return false;
  [[maybe_unused]] ssize_t written = ::write(fd.get(), kMark, sizeof kMark);
  return true;  // a descriptor for writing is defeat enough
}

UniqueFd Readable(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

bool OpenWriteOnly(const std::string& path) { return Writes(path, O_WRONLY); }
bool OpenReadWrite(const std::string& path) { return Writes(path, O_RDWR); }
bool OpenAppend(const std::string& path) { return Writes(path, O_WRONLY | O_APPEND); }
bool OpenTruncate(const std::string& path) { return Writes(path, O_WRONLY | O_TRUNC); }
bool OpenDirect(const std::string& path) { return Writes(path, O_RDWR | O_DIRECT); }
bool Truncate(const std::string& path) { return ::truncate(path.c_str(), 1) == 0; }
bool ChangeMode(const std::string& path) { return ::chmod(path.c_str(), 0777) == 0; }
bool ChangeOwner(const std::string& path) { return ::lchown(path.c_str(), 0, 0) == 0; }
bool ChangeOwnerToOther(const std::string& path) { return ::lchown(path.c_str(), 1000, 1000) == 0; }
bool Unlink(const std::string& path) { return ::unlink(path.c_str()) == 0; }
bool Rename(const std::string& path) {
  return ::rename(path.c_str(), (path + ".moved").c_str()) == 0;
}
bool HardLink(const std::string& path) {
  return ::link(path.c_str(), (path + ".linked").c_str()) == 0;
}

bool SetAttribute(const std::string& path, const char* name) {
  return ::lsetxattr(path.c_str(), name, kMark, sizeof kMark, 0) == 0;
}
bool SetUserAttribute(const std::string& path) { return SetAttribute(path, "user.weighhouse"); }
bool SetTrustedAttribute(const std::string& path) {
  return SetAttribute(path, "trusted.weighhouse");
}
bool SetSecurityAttribute(const std::string& path) {
  return SetAttribute(path, "security.weighhouse");
}

bool ChangeModeByDescriptor(const std::string& path) {
  UniqueFd fd = Readable(path);
  return fd && ::fchmod(fd.get(), 0777) == 0;
}
bool ChangeOwnerByDescriptor(const std::string& path) {
  UniqueFd fd = Readable(path);
  return fd && ::fchown(fd.get(), 0, 0) == 0;
}
bool SetAttributeByDescriptor(const std::string& path) {
  UniqueFd fd = Readable(path);
  return fd && ::fsetxattr(fd.get(), "user.weighhouse", kMark, sizeof kMark, 0) == 0;
}
bool ReopenDescriptor(const std::string& path) {
  UniqueFd fd = Readable(path);
  return fd && Writes("/proc/self/fd/" + std::to_string(fd.get()), O_RDWR);
}
bool SetTimes(const std::string& path) {
  timespec times[2] = {{1, 0}, {1, 0}};
  return ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0;
}
bool MakeImmutable(const std::string& path) {
  UniqueFd fd = Readable(path);
  unsigned flags = 0;
  if (!fd || ::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return false;
  flags ^= FS_NOATIME_FL;
  return ::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) == 0;
}

bool MapShared(const std::string& path) {
  UniqueFd fd = Readable(path);
  if (!fd) return false;
  void* direct = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (direct != MAP_FAILED) {
    std::memcpy(direct, kMark, sizeof kMark);
    return true;
  }
  void* raised = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (raised == MAP_FAILED) return false;
  bool writable = ::mprotect(raised, 4096, PROT_READ | PROT_WRITE) == 0;
  if (writable) std::memcpy(raised, kMark, sizeof kMark);
  ::munmap(raised, 4096);
  return writable;
}

/// A root process with CAP_DAC_READ_SEARCH opens inodes by number, past every directory's mode.
bool OpenByHandle(const std::string& path) {
  alignas(file_handle) std::array<std::byte, sizeof(file_handle) + MAX_HANDLE_SZ> room{};
  auto* handle = reinterpret_cast<file_handle*>(room.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (::name_to_handle_at(AT_FDCWD, path.c_str(), handle, &mount_id, 0) != 0) return false;
  UniqueFd mount = Readable(path);
  UniqueFd fd(::open_by_handle_at(mount.get(), handle, O_RDWR | O_CLOEXEC));
  if (!fd) return false;
  [[maybe_unused]] ssize_t written = ::pwrite(fd.get(), kMark, sizeof kMark, 0);
  return true;
}

std::string Inside(const std::string& path) { return path + "/weighhouse-attack"; }

bool CreateFile(const std::string& path) {
  UniqueFd fd(::open(Inside(path).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
  return static_cast<bool>(fd);
}
bool CreateTemporary(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666));
  return static_cast<bool>(fd);
}
bool MakeDirectory(const std::string& path) { return ::mkdir(Inside(path).c_str(), 0777) == 0; }
bool MakeLink(const std::string& path) {
  return ::symlink("/etc/passwd", Inside(path).c_str()) == 0;
}
bool MakeNode(const std::string& path) {
  return ::mknod(Inside(path).c_str(), S_IFIFO | 0666, 0) == 0;
}
bool RemoveDirectory(const std::string& path) { return ::rmdir(path.c_str()) == 0; }

}  // namespace

const std::vector<Attempt>& FileAttempts() {
  static const std::vector<Attempt> attempts = {
      {"open for writing", OpenWriteOnly},
      {"open for reading and writing", OpenReadWrite},
      {"open for appending", OpenAppend},
      {"open with O_DIRECT for writing", OpenDirect},
      {"map shared and writable", MapShared},
      {"open by handle for writing", OpenByHandle},
      {"reopen a descriptor for writing", ReopenDescriptor},
      {"chmod", ChangeMode},
      {"fchmod", ChangeModeByDescriptor},
      {"chown to root", ChangeOwner},
      {"fchown to root", ChangeOwnerByDescriptor},
      {"chown to another", ChangeOwnerToOther},
      {"set a user attribute", SetUserAttribute},
      {"set a user attribute by descriptor", SetAttributeByDescriptor},
      {"set a trusted attribute", SetTrustedAttribute},
      {"set a security attribute", SetSecurityAttribute},
      {"set the times", SetTimes},
      {"set inode flags", MakeImmutable},
      {"link", HardLink},
      {"truncate", Truncate},
      {"open and truncate", OpenTruncate},
      {"rename", Rename},
      {"unlink", Unlink},
  };
  return attempts;
}

const std::vector<Attempt>& DirectoryAttempts() {
  static const std::vector<Attempt> attempts = {
      {"create a file", CreateFile},
      {"create an unnamed file", CreateTemporary},
      {"make a directory", MakeDirectory},
      {"make a symbolic link", MakeLink},
      {"make a pipe", MakeNode},
      {"chmod", ChangeMode},
      {"chown to root", ChangeOwner},
      {"chown to another", ChangeOwnerToOther},
      {"set a user attribute", SetUserAttribute},
      {"set a trusted attribute", SetTrustedAttribute},
      {"set the times", SetTimes},
      {"rename", Rename},
      {"remove", RemoveDirectory},
  };
  return attempts;
}

bool CloneWritable(const std::string& path, const std::string& target) {
  UniqueFd tree(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!tree) return false;
  mount_attr attributes{};
  attributes.attr_clr = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                sizeof attributes) != 0) {
    return false;
  }
  return ::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, target.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

bool RemountWritable(const std::string& path) {
  mount_attr attributes{};
  attributes.attr_clr =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return ::syscall(SYS_mount_setattr, AT_FDCWD, path.c_str(), 0, &attributes, sizeof attributes) ==
         0;
}

}  // namespace weighhouse::attacker
