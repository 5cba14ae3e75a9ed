#include "csi/mount_error.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace weighhouse::csi {
namespace {

bool MeansUnsupported(int error_number) {
  return error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP ||
         error_number == ENODEV || error_number == EPERM;
}

}  // namespace

std::unexpected<Error> MountFailure(int error_number, std::string_view what) {
  if (!MeansUnsupported(error_number)) return FailErrno(error_number, what);
  return Fail(Code::kUnimplemented, fmt::format("{}: {}", what, std::strerror(error_number)));
}

}  // namespace weighhouse::csi
