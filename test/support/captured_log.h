#pragma once

#include <memory>
#include <string>

#include <spdlog/spdlog.h>

#include "base/log.h"

namespace weighhouse {

/// What is logged while it lives, of every level, as the programs write it. To be made, read and
/// destroyed while nobody logs. Its clock is given, or the machine's.
class CapturedLog {
 public:
  explicit CapturedLog(LogFormat format = LogFormat::kText) : before_(spdlog::default_logger()) {
    SetUpLog(Options(format));
  }
  CapturedLog(LogFormat format, const Clock& clock) : before_(spdlog::default_logger()) {
    SetUpLog(Options(format), clock);
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  const std::string& text() const { return lines_; }

 private:
  LogOptions Options(LogFormat format) {
    return {.level = "trace", .format = format, .write = [this](std::string_view line) {
              lines_ += line;
            }};
  }
  std::string lines_;
  std::shared_ptr<spdlog::logger> before_;
};

}  // namespace weighhouse
