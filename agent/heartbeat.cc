#include "agent/heartbeat.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "base/unique_fd.h"

namespace weighhouse::agent {

void Heartbeat::Beat(std::chrono::steady_clock::time_point now) {
  if (path_.empty() || now < next_) return;
  next_ = now + std::chrono::seconds(1);
  UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  bool beaten = file && ::futimens(file.get(), nullptr) == 0;
  if (!beaten && !failed_) {
    spdlog::error("--heartbeat: {}: {}: the probe will fail", path_, std::strerror(errno));
  }
  failed_ = !beaten;
}

Result<> CheckHeartbeat(const std::string& path, std::chrono::seconds oldest) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return Fail(Code::kUnavailable, fmt::format("--heartbeat: {}: {}: is weighhouse agent running?",
                                                Printable(path), std::strerror(errno)));
  }
  auto beaten = std::chrono::system_clock::from_time_t(status.st_mtime);
  auto age = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now() - beaten);
  if (age <= oldest) return {};
  return Fail(Code::kUnavailable, fmt::format("the agent's loop last went round {} s ago, {} s is "
                                              "the limit: it hangs",
                                              age.count(), oldest.count()));
}

}  // namespace weighhouse::agent
