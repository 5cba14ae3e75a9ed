#include "cache-daemon/daemon/logging.h"

#include <memory>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace weighhouse::daemon {
namespace {

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    auto level = spdlog::level::to_string_view(message.level);
    std::string line = JsonLogLine(message.time, {level.data(), level.size()},
                                   {message.payload.data(), message.payload.size()});
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

}  // namespace

std::string JsonLogLine(std::chrono::system_clock::time_point time, std::string_view level,
                        std::string_view message) {
  auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count() % 1000;
  nlohmann::ordered_json line;
  line["time"] = fmt::format("{:%FT%T}.{:03}Z",
                             fmt::gmtime(std::chrono::system_clock::to_time_t(time)), milliseconds);
  line["level"] = level;
  line["message"] = message;
  // What isn't UTF-8 becomes U+FFFD: a log line never throws.
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void SetUpLogging(const std::string& level, config::LogFormat format) {
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "weighhouse-cached", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  ChangeLogging(level, format);
}

void ChangeLogging(const std::string& level, config::LogFormat format) {
  // The logger itself can't be replaced while others log; its level is atomic, its sink locked.
  spdlog::logger& logger = *spdlog::default_logger_raw();
  if (format == config::LogFormat::kJson) {
    logger.set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  }
  logger.set_level(spdlog::level::from_str(level));
}

}  // namespace weighhouse::daemon
