#include "csi/mountinfo.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::csi {
namespace {

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

/// The kernel writes space, tab, newline, backslash and `#` as \ooo (fs/seq_file.c mangle_path).
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool escaped = text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) &&
                   IsOctal(text[i + 2]) && IsOctal(text[i + 3]);
    if (!escaped) {
      out += text[i];
      continue;
    }
    out +=
        static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
    i += 3;
  }
  return out;
}

bool ParseNumber(std::string_view text, int& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

/// Splits at single spaces: a field may be empty (the source of some mounts is).
std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    size_t end = line.find(' ');
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

Result<MountEntry> ParseLine(std::string_view line) {
  std::vector<std::string_view> fields = Fields(line);
  // id parent device root point options [optional…] - filesystem source super-options
  constexpr size_t kFixed = 6;
  MountEntry entry;
  auto dash = std::find(fields.begin() + std::min(kFixed, fields.size()), fields.end(), "-");
  if (fields.end() - dash < 3 || !ParseNumber(fields[0], entry.id) ||
      !ParseNumber(fields[1], entry.parent_id)) {
    return Fail(Code::kInternal,
                fmt::format("mountinfo has a line of an unknown shape: {}", Printable(line, 300)));
  }
  entry.device = fields[2];
  entry.root = Unescape(fields[3]);
  entry.mount_point = Unescape(fields[4]);
  entry.shared = std::any_of(fields.begin() + kFixed, dash,
                             [](std::string_view field) { return field.starts_with("shared:"); });
  entry.filesystem = Unescape(dash[1]);
  entry.source = Unescape(dash[2]);
  if (fields.end() - dash > 3) {
    std::vector<std::string> options = SplitAndTrim(dash[3], ',');
    entry.seclabel = std::ranges::find(options, "seclabel") != options.end();
    entry.upper_layer =
        entry.filesystem == "overlay" && std::ranges::any_of(options, [](std::string_view option) {
          return option.starts_with("upperdir=");
        });
  }
  return entry;
}

/// The mount that the walk to `path` starts in: one whose parent this process can't see.
const MountEntry* FirstMount(const std::vector<MountEntry>& mounts, std::string_view path) {
  const MountEntry* first = nullptr;
  for (const MountEntry& mount : mounts) {
    if (!IsAtOrBelow(path, mount.mount_point)) continue;  // all but a few
    bool orphan = mount.parent_id == mount.id ||
                  std::ranges::find(mounts, mount.parent_id, &MountEntry::id) == mounts.end();
    if (!orphan) continue;
    if (first == nullptr || mount.mount_point.size() < first->mount_point.size()) first = &mount;
  }
  return first;
}

/// The child of `current` that the walk enters next: the one at the shortest mount point on the
/// way.
const MountEntry* NextMount(const std::vector<MountEntry>& mounts, const MountEntry& current,
                            std::string_view path) {
  const MountEntry* next = nullptr;
  for (const MountEntry& mount : mounts) {
    if (mount.parent_id != current.id || mount.id == current.id) continue;
    if (!IsAtOrBelow(path, mount.mount_point)) continue;
    if (next == nullptr || mount.mount_point.size() < next->mount_point.size()) next = &mount;
  }
  return next;
}

}  // namespace

Result<std::vector<MountEntry>> ParseMountinfo(std::string_view text) {
  std::vector<MountEntry> mounts;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    MountEntry entry = TRY(ParseLine(line));
    mounts.push_back(std::move(entry));
  }
  return mounts;
}

const MountEntry* CoveringMount(const std::vector<MountEntry>& mounts, std::string_view path) {
  const MountEntry* current = FirstMount(mounts, path);
  // As many steps as there are mounts: a list that was read while it changed may hold a circle.
  for (size_t steps = 0; current != nullptr && steps < mounts.size(); ++steps) {
    const MountEntry* next = NextMount(mounts, *current, path);
    if (next == nullptr) break;
    current = next;
  }
  return current;
}

const MountEntry* MountAt(const std::vector<MountEntry>& mounts, std::string_view path) {
  const MountEntry* mount = CoveringMount(mounts, path);
  return mount != nullptr && mount->mount_point == path ? mount : nullptr;
}

bool IsAtOrBelow(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace weighhouse::csi
