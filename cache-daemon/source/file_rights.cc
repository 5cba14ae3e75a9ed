#include "cache-daemon/source/file_rights.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/web/in_parallel.h"

namespace weighhouse::source {
namespace {

constexpr size_t kReadAtATime = 16;

}  // namespace

Result<> ReadEach(const std::vector<ListedFile>& files, std::stop_token stop,
                  const std::function<Result<>(const ListedFile&)>& read_byte) {
  std::vector<const ListedFile*> with_bytes;
  for (const ListedFile& file : files) {
    if (file.size > 0) with_bytes.push_back(&file);
  }
  if (with_bytes.size() == 1) return read_byte(*with_bytes.front());  // needs no thread
  return ForEachInParallel(with_bytes.size(), kReadAtATime, std::move(stop),
                           [&](size_t index) { return read_byte(*with_bytes[index]); });
}

Result<> CheckShown(const ListedFile& file, std::optional<Bytes> found, std::string_view subject) {
  if (found == file.size) return {};
  std::string came = found ? fmt::format("something of {} bytes", *found) : "of unknown size";
  return std::unexpected(
      Error{.code = Code::kPermissionDenied,
            .message = fmt::format("{}: it is listed with {} bytes, and what came for it is {}: "
                                   "may these credentials read it, or did it change just now?",
                                   Printable(subject), file.size, came),
            .rights_may_help = true});
}

}  // namespace weighhouse::source
