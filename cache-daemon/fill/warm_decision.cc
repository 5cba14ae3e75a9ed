#include "cache-daemon/fill/warm_decision.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>

#include <fmt/format.h>

namespace weighhouse::fill {
namespace {

/// Version 1 writes "no limit" as the largest number of whole pages.
constexpr Bytes kNoLimit = Bytes{1} << 62;

std::optional<Bytes> LeadingNumber(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  Bytes number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

/// The limit that a file of a control group states; nothing for "max", none, or no such file.
std::optional<Bytes> LimitIn(const std::string& file) {
  std::ifstream stream(file);
  std::string line;
  if (!std::getline(stream, line)) return std::nullopt;
  std::optional<Bytes> limit = LeadingNumber(line);
  return limit && *limit < kNoLimit ? limit : std::nullopt;
}

/// The least limit of the group at `path` and of those above it. In a container the file system of
/// the groups may begin at its own group while `path` doesn't: its root is asked too.
std::optional<Bytes> LeastLimit(const std::string& groups, std::string path, const char* name) {
  std::optional<Bytes> least;
  while (true) {
    std::optional<Bytes> limit = LimitIn(fmt::format("{}{}/{}", groups, path, name));
    if (limit) least = std::min(least.value_or(*limit), *limit);
    if (path.empty()) return least;
    path.erase(path.rfind('/'));
  }
}

std::optional<Bytes> CgroupLimit(const std::string& filesystem_root) {
  std::ifstream stream(filesystem_root + "/proc/self/cgroup");
  std::optional<Bytes> least;
  for (std::string line; std::getline(stream, line);) {
    size_t first = line.find(':');
    size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    if (path == "/") path.clear();
    std::string groups = filesystem_root + "/sys/fs/cgroup";
    std::optional<Bytes> limit;
    if (controllers.empty()) limit = LeastLimit(groups, path, "memory.max");
    if (controllers == "memory") {
      limit = LeastLimit(groups + "/memory", path, "memory.limit_in_bytes");
    }
    if (limit) least = std::min(least.value_or(*limit), *limit);
  }
  return least;
}

}  // namespace

WarmDecision MayWarm(Bytes bytes, const MemoryFigures& figures) {
  if (figures.cgroup_limit) return WarmDecision::kLimited;
  Bytes margin = figures.total / 10;
  bool fits = figures.available >= margin && bytes <= figures.available - margin;
  return fits ? WarmDecision::kWarm : WarmDecision::kNoRoom;
}

Result<MemoryFigures> ReadMemoryFigures(const std::string& filesystem_root) {
  std::ifstream stream(filesystem_root + "/proc/meminfo");
  std::optional<Bytes> total, available;
  for (std::string line; std::getline(stream, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string_view name = std::string_view(line).substr(0, colon);
    std::optional<Bytes> kibibytes = LeadingNumber(std::string_view(line).substr(colon + 1));
    if (!kibibytes) continue;
    if (name == "MemTotal") total = *kibibytes * kKiB;
    if (name == "MemAvailable") available = *kibibytes * kKiB;
  }
  if (!total || !available) {
    return Fail(Code::kUnavailable, "/proc/meminfo doesn't say how much memory is available");
  }
  return MemoryFigures{
      .total = *total, .available = *available, .cgroup_limit = CgroupLimit(filesystem_root)};
}

}  // namespace weighhouse::fill
