#include "cache-daemon/daemon/logging.h"

#include <memory>
#include <mutex>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "base/log.h"

namespace weighhouse::daemon {
namespace {

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

void SetUpLogging(const std::string& level, LogFormat format, ErrorMemory& memory) {
  SetUpLog({.level = level, .format = format});
  spdlog::default_logger_raw()->sinks().push_back(std::make_shared<MemorySink>(memory));
}

}  // namespace weighhouse::daemon
