#include "cli/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>

#include "base/thread.h"

namespace weighhouse::cli {
namespace {

sigset_t EndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

Interrupt::Interrupt() {
  sigset_t signals = EndingSignals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC));
  wake_.reset(::eventfd(0, EFD_CLOEXEC));
  thread_ = StartThread("interrupt", [this](const std::stop_token& stop) { Watch(stop); });
}

Interrupt::~Interrupt() {
  thread_.request_stop();
  ::eventfd_write(wake_.get(), 1);
}

void Interrupt::Watch(const std::stop_token& stop) {
  std::array<pollfd, 2> polled = {{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = wake_.get(), .events = POLLIN, .revents = 0}}};
  while (!stop.stop_requested()) {
    if (::poll(polled.data(), polled.size(), -1) < 0 || polled[0].revents == 0) continue;
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) continue;
    if (signal_ != 0) ::_exit(kExitOfSignal + static_cast<int>(info.ssi_signo));
    signal_ = static_cast<int>(info.ssi_signo);
    source_.request_stop();
  }
}

}  // namespace weighhouse::cli
