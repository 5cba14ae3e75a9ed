#include "csi/mount_error.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace weighhouse::csi {
namespace {

std::unexpected<Error> Unsupported(int error_number, std::string_view what) {
  return Fail(Code::kUnimplemented, fmt::format("{}: {}", what, std::strerror(error_number)));
}

bool MeansUnsupported(int error_number) {
  return error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP ||
         error_number == ENODEV || error_number == EPERM;
}

}  // namespace

std::unexpected<Error> MountFailure(int error_number, std::string_view what) {
  return MeansUnsupported(error_number) ? Unsupported(error_number, what)
                                        : FailErrno(error_number, what);
}

std::unexpected<Error> CloneFailure(int error_number) {
  constexpr std::string_view kWhat = "clone the tree's mount";
  return error_number == ENOSYS ? Unsupported(error_number, kWhat) : FailErrno(error_number, kWhat);
}

}  // namespace weighhouse::csi
