#include "test/cache-daemon/metrics/page_reader.h"

#include <sstream>

namespace weighhouse {

std::map<std::string, std::string> ReadSamples(std::string_view page) {
  std::map<std::string, std::string> samples;
  std::istringstream lines{std::string(page)};
  for (std::string line; std::getline(lines, line);) {
    size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string::npos) continue;
    samples.emplace(line.substr(0, space), line.substr(space + 1));
  }
  return samples;
}

std::optional<std::string> ValueOf(std::string_view page, const std::string& series) {
  std::map<std::string, std::string> samples = ReadSamples(page);
  auto found = samples.find(series);
  if (found == samples.end()) return std::nullopt;
  return found->second;
}

}  // namespace weighhouse
