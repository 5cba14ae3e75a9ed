#include "csi/new_filesystem.h"

#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "csi/mount_error.h"

namespace weighhouse::csi {

Result<NewFilesystem> NewFilesystem::Open(const char* type) {
  UniqueFd context(fsopen(type, FSOPEN_CLOEXEC));
  if (!context) return MountFailure(errno, fmt::format("open the filesystem type {}", type));
  return NewFilesystem(type, std::move(context));
}

Result<> NewFilesystem::Set(const char* key, const std::string& value) {
  if (fsconfig(context_.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) == 0) return {};
  int error_number = errno;
  return MountFailure(error_number,
                      fmt::format("{} option {}={}{}", type_, key, value, KernelLog()));
}

Result<UniqueFd> NewFilesystem::Mount(uint64_t attributes) {
  if (fsconfig(context_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    int error_number = errno;
    return MountFailure(error_number,
                        fmt::format("make a filesystem of type {}{}", type_, KernelLog()));
  }
  UniqueFd mount(fsmount(context_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned int>(attributes)));
  if (!mount) return MountFailure(errno, fmt::format("make a mount of type {}", type_));
  return mount;
}

std::string NewFilesystem::KernelLog() const {
  std::array<char, 512> text{};
  ssize_t size = read(context_.get(), text.data(), text.size());
  if (size <= 0) return "";
  return fmt::format(" ({})",
                     Printable(Trim(std::string_view(text.data(), static_cast<size_t>(size)))));
}

}  // namespace weighhouse::csi
