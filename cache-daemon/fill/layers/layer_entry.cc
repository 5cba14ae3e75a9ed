#include "cache-daemon/fill/layers/layer_entry.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"

namespace weighhouse::fill {
namespace {

// image-spec, layer.md, "Whiteouts".
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

std::unexpected<Error> RefuseEntry(std::string_view path, std::string_view what) {
  return Fail(Code::kInvalidArgument,
              fmt::format("a layer holds '{}', which {}: refused", Printable(path), what));
}

std::string_view FaultOf(const TarEntry& entry) {
  using enum TarEntry::Type;
  if (entry.type == kHardLink) {
    return "is a hard link: package the file in each place where it belongs";
  }
  if (entry.type == kSymbolicLink) {
    return "is a symbolic link: package what it leads to in its place";
  }
  return entry.type == kOther ? "is neither a file nor a directory" : "";
}

bool GoesUp(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.ends_with("/..") || path.contains("/../");
}

/// The directory and the name that `path` consists of.
std::pair<std::string_view, std::string_view> Split(std::string_view path) {
  size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

/// What a whiteout in `directory` of an image hides, below the prefix. `name`: "" for an opaque
/// directory.
std::optional<store::LayerEntry> Hidden(std::string_view directory, std::string_view name,
                                        std::string_view prefix) {
  using enum store::LayerEntry::Kind;
  std::string target(directory);
  if (!target.empty() && !name.empty()) target += '/';
  target += name;
  std::string below = target.empty() ? "" : target + "/";
  // What goes is around the model, or the model.
  if (prefix.starts_with(below)) return store::LayerEntry{.kind = kOpaque, .path = ""};
  if (!target.starts_with(prefix)) return std::nullopt;
  return store::LayerEntry{.kind = name.empty() ? kOpaque : kWhiteout,
                           .path = target.substr(prefix.size())};
}

}  // namespace

Result<std::optional<store::LayerEntry>> JudgeEntry(const TarEntry& entry,
                                                    std::string_view prefix) {
  std::string_view path = entry.path;
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.ends_with('/') && path.size() > 1) path.remove_suffix(1);
  if (path.starts_with('/')) return RefuseEntry(entry.path, "is an absolute path");
  if (GoesUp(path)) return RefuseEntry(entry.path, "has a '..' component");
  bool of_image = !prefix.empty();
  auto [directory, name] = Split(path);
  if (of_image && name.starts_with(kWhiteout)) {
    std::string_view hidden = name == kOpaque ? "" : name.substr(kWhiteout.size());
    if (name != kOpaque && hidden.empty()) return RefuseEntry(entry.path, "hides nothing");
    std::optional<store::LayerEntry> hides = Hidden(directory, hidden, prefix);
    if (!hides) return std::nullopt;
    if (!hides->path.empty()) TRY(source::CheckPath(hides->path));
    return hides;
  }
  bool is_root = of_image && path == prefix.substr(0, prefix.size() - 1);
  if (is_root && entry.type != TarEntry::Type::kDirectory) {
    return RefuseEntry(entry.path, "should be the directory of the model's files");
  }
  if (entry.type == TarEntry::Type::kDirectory || !path.starts_with(prefix)) return std::nullopt;
  std::string_view fault = FaultOf(entry);
  if (!fault.empty()) return RefuseEntry(entry.path, fault);
  path.remove_prefix(prefix.size());
  TRY(source::CheckPath(path));
  return store::LayerEntry{.path = std::string(path), .size = entry.size};
}

}  // namespace weighhouse::fill
