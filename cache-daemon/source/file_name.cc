#include "cache-daemon/source/file_name.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

// A few thousand paths as deep as their length allows would name more directories than fit memory.
constexpr auto kMaxComponents = 64;

std::unexpected<Error> BadPath(std::string_view path, std::string_view what) {
  return Fail(Code::kInvalidArgument,
              fmt::format("the source lists '{}', which {}: refused", Printable(path), what));
}

/// U+0080 to U+009F, which terminals obey like the ASCII control characters.
bool HasC1Control(std::string_view text) {
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    auto next = static_cast<unsigned char>(text[i + 1]);
    if (text[i] == '\xC2' && next >= 0x80 && next <= 0x9F) return true;
  }
  return false;
}

/// What is wrong with one component of a path; "" if nothing is.
std::string_view ComponentFault(std::string_view component) {
  if (component.empty()) return "has an empty component";
  if (component == "." || component == "..") return "has a '.' or '..' component";
  if (component.size() > kMaxComponentBytes) return "has a component of over 255 bytes";
  return "";
}

/// Calls `visit` with every directory of `path`, outermost first.
template <class Visit>
void ForEachParent(std::string_view path, Visit visit) {
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    visit(path.substr(0, slash));
  }
}

Result<> CheckNames(const std::vector<ListedFile>& files) {
  std::unordered_set<std::string_view> names, directories;
  for (const ListedFile& file : files) {
    TRY(CheckPath(file.path));
    if (!names.insert(file.path).second) return BadPath(file.path, "is there twice");
    ForEachParent(file.path, [&](std::string_view parent) { directories.insert(parent); });
  }
  for (const ListedFile& file : files) {
    if (directories.contains(file.path)) {
      return BadPath(file.path, "is both a file and a directory");
    }
  }
  return {};
}

}  // namespace

Result<> CheckPath(std::string_view path) {
  if (path.empty()) return BadPath(path, "is an empty name");
  if (path.size() > kMaxPathBytes) return BadPath(path, "is over 4096 bytes");
  if (path.front() == '/') return BadPath(path, "is an absolute path");
  if (path.contains('\\')) return BadPath(path, "has a backslash");
  // Printable() changes exactly what isn't UTF-8 or is a control character, NUL included.
  if (Printable(path, path.size() + 1) != path || HasC1Control(path)) {
    return BadPath(path, "has control characters or isn't UTF-8");
  }
  if (std::ranges::count(path, '/') >= kMaxComponents) return BadPath(path, "is over 64 deep");
  std::string_view rest = path;
  while (true) {
    size_t slash = rest.find('/');
    std::string_view fault = ComponentFault(rest.substr(0, slash));
    if (!fault.empty()) return BadPath(path, fault);
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

Result<> CheckListing(const Listing& listing) {
  if (listing.files.empty()) {
    return Fail(Code::kInvalidArgument, "the source lists no files: there is nothing to serve");
  }
  if (listing.files.size() > kMaxFiles) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the source lists {} files: at most {} are served",
                            listing.files.size(), kMaxFiles));
  }
  TRY(CheckNames(listing.files));
  Bytes total = 0;
  for (const ListedFile& file : listing.files) {
    // Both terms are at most 2^62: the sum can't wrap.
    if (file.size > kMaxFileBytes || total + file.size > kMaxFileBytes) {
      return BadPath(file.path, fmt::format("has an impossible size of {} bytes", file.size));
    }
    total += file.size;
  }
  return {};
}

}  // namespace weighhouse::source
