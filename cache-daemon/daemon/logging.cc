#include "cache-daemon/daemon/logging.h"

#include <memory>
#include <mutex>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>
#include <spdlog/formatter.h>
#include <spdlog/sinks/base_sink.h>
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

/// Brings warnings and errors to a memory of them.
class MemorySink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit MemorySink(ErrorMemory& memory) : memory_(memory) { set_level(spdlog::level::warn); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    memory_.Add({.time = message.time,
                 .level = message.level >= spdlog::level::err ? "error" : "warning",
                 .message = {message.payload.data(), message.payload.size()}});
  }
  void flush_() override {}

 private:
  ErrorMemory& memory_;
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

void SetUpLogging(const std::string& level, config::LogFormat format, ErrorMemory& memory) {
  spdlog::sinks_init_list sinks = {std::make_shared<spdlog::sinks::stderr_sink_mt>(),
                                   std::make_shared<MemorySink>(memory)};
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("weighhouse-cached", sinks));
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
