#include "base/log_limits.h"

namespace weighhouse {

bool LogLimits::Admit(const std::string& name, size_t most, LogLevel level,
                      std::string_view message, Time now) {
  Kind& kind = kinds_.try_emplace(name, Kind{.begun = now}).first->second;
  if (kind.passed < most) {
    ++kind.passed;
    return true;
  }
  kind.left_out.level = level;
  kind.left_out.message = message;
  ++kind.left_out.lines;
  return false;
}

std::vector<LogLimits::LeftOut> LogLimits::TakeEnded(Time now) {
  std::vector<LeftOut> ended;
  std::erase_if(kinds_, [&](const auto& entry) {
    const Kind& kind = entry.second;
    if (now - kind.begun < kWindow) return false;
    if (kind.left_out.lines > 0) ended.push_back(kind.left_out);
    return true;
  });
  return ended;
}

}  // namespace weighhouse
