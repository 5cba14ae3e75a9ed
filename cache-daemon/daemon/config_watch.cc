#include "cache-daemon/daemon/config_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <utility>

namespace weighhouse::daemon {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kUnwatched{1000};
constexpr uint32_t kChanges = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                              IN_MOVE_SELF | IN_ONLYDIR;

/// Makes an eventfd readable for as long as it lives after a stop was requested.
auto WakeOnStop(const std::stop_token& stop, int event_fd) {
  return std::stop_callback(stop, [event_fd] {
    uint64_t one = 1;
    // It can only fail by being readable already.
    [[maybe_unused]] ssize_t written = ::write(event_fd, &one, sizeof one);
  });
}

}  // namespace

Result<std::unique_ptr<ConfigWatch>> ConfigWatch::Create(const std::string& file) {
  std::string directory = std::filesystem::path(file).parent_path().string();
  UniqueFd stopped(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopped) return FailErrno(errno, "make an eventfd");
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  std::unique_ptr<ConfigWatch> watch(new ConfigWatch(directory.empty() ? "." : std::move(directory),
                                                     std::move(inotify), std::move(stopped)));
  watch->Watch();
  return watch;
}

bool ConfigWatch::Watch() const {
  // Again each time: a directory that was replaced is another one, and the same one costs nothing.
  return inotify_ && ::inotify_add_watch(inotify_.get(), directory_.c_str(), kChanges) >= 0;
}

void ConfigWatch::Wait(const std::stop_token& stop, milliseconds longest) {
  if (!Watch()) longest = std::min(longest, kUnwatched);
  auto wake = WakeOnStop(stop, stopped_.get());
  std::array<pollfd, 2> events{{{.fd = stopped_.get(), .events = POLLIN, .revents = 0},
                                {.fd = inotify_.get(), .events = POLLIN, .revents = 0}}};
  // A signal only makes it look sooner.
  static_cast<void>(::poll(events.data(), events.size(), static_cast<int>(longest.count())));
  std::array<char, 4096> ignored;
  while (inotify_ && ::read(inotify_.get(), ignored.data(), ignored.size()) > 0) {
  }
}

void ConfigWatch::Pause(const std::stop_token& stop, milliseconds duration) const {
  auto wake = WakeOnStop(stop, stopped_.get());
  pollfd event{.fd = stopped_.get(), .events = POLLIN, .revents = 0};
  static_cast<void>(::poll(&event, 1, static_cast<int>(duration.count())));
}

}  // namespace weighhouse::daemon
