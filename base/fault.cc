#include "base/fault.h"

#ifdef WEIGHHOUSE_FAULT_POINTS
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <string>

namespace weighhouse {
namespace {

/// What WEIGHHOUSE_FAULT asks for, read once.
struct FaultPlan {
  FaultPlan() {
    const char* value = std::getenv("WEIGHHOUSE_FAULT");
    if (value == nullptr) return;
    std::string_view text(value);
    constexpr std::string_view kTrace = "trace:";
    if (text.starts_with(kTrace)) {
      trace_path = text.substr(kTrace.size());
      return;
    }
    size_t colon = text.find(':');
    kill_at = text.substr(0, colon);
    if (colon != std::string_view::npos) {
      std::from_chars(text.data() + colon + 1, text.data() + text.size(), passages_left_start);
    }
    passages_left = passages_left_start;
  }
  std::string kill_at;
  int passages_left_start = 1;
  std::atomic<int> passages_left = 1;
  std::string trace_path;
  std::array<std::atomic<bool>, kFaultPoints.size()> traced{};
};

FaultPlan& Plan() {
  static FaultPlan plan;
  return plan;
}

}  // namespace

void FaultPoint(FaultName name) {
  FaultPlan& plan = Plan();
  if (!plan.kill_at.empty() && plan.kill_at == name.name()) {
    if (plan.passages_left.fetch_sub(1) == 1) {
      ::kill(::getpid(), SIGKILL);
      ::pause();
    }
  }
  if (plan.trace_path.empty()) return;
  auto index = std::ranges::find(kFaultPoints, name.name()) - kFaultPoints.begin();
  if (plan.traced[static_cast<size_t>(index)].exchange(true)) return;
  std::string line = std::string(name.name()) + "\n";
  int fd = ::open(plan.trace_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return;
  [[maybe_unused]] ssize_t written = ::write(fd, line.data(), line.size());
  ::close(fd);
}

}  // namespace weighhouse
#endif
