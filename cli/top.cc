#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/full_screen.h"
#include "cli/interrupt.h"
#include "cli/print.h"
#include "cli/signals.h"
#include "cli/status_text.h"

namespace weighhouse::cli {
namespace {

using Time = std::chrono::steady_clock::time_point;

/// A daemon that hangs holds up the end no longer than this.
constexpr std::chrono::seconds kPatience{2};

/// Looks again and again, and shows what it saw, until it is told to end.
class Watcher {
 public:
  Watcher(const Options& options, std::unique_ptr<Client> client, const Signals& signals)
      : options_(options), client_(std::move(client)), signals_(signals) {
    client_->SetPatience(kPatience);
  }

  /// One block of text after the other: for a file or a pipe.
  Outcome Print();
  /// In place, on a terminal. What goes wrong after the first look is shown, and tried again.
  Outcome Redraw();

 private:
  enum class Event { kTime, kKey, kResized, kSuspended, kEnd };

  std::expected<void, Failure> Look();
  bool IsLast(uint64_t looks) const { return options_.count && looks >= *options_.count; }
  /// The first thing that happens, at `until` at the latest.
  Event Await(Time until, int keys);
  Event OnSignal(int signal);
  /// Waits until it is time to look again, redrawing where that is needed. False: it is to end.
  bool Stay(FullScreen& screen, Time until);
  bool Draw(FullScreen& screen) const;
  std::string LastLine() const;

  const Options& options_;
  std::unique_ptr<Client> client_;
  const Signals& signals_;
  StatusView view_;
  std::optional<Failure> failure_;  ///< of the last look
  int exit_code_ = kOk;
};

std::expected<void, Failure> Watcher::Look() {
  if (failure_ && !options_.root) {
    // The daemon may have been started again, and gRPC would find out late.
    auto again = Client::Connect(options_);
    if (!again) return std::unexpected(again.error());
    client_ = std::move(*again);
    client_->SetPatience(kPatience);
  }
  Result<StatusView> view = AskStatus(*client_);
  if (!view) return std::unexpected(ToFailure(view.error()));
  view_ = *std::move(view);
  return {};
}

Watcher::Event Watcher::OnSignal(int signal) {
  if (signal == SIGWINCH) return Event::kResized;
  if (signal == SIGTSTP) return Event::kSuspended;
  exit_code_ = kExitOfSignal + signal;
  return Event::kEnd;
}

Watcher::Event Watcher::Await(Time until, int keys) {
  std::array<pollfd, 2> polled = {{{.fd = signals_.fd(), .events = POLLIN, .revents = 0},
                                   {.fd = keys, .events = POLLIN, .revents = 0}}};
  for (;;) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Event::kTime;
    if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0) continue;
    if (std::optional<int> signal = signals_.Take()) return OnSignal(*signal);
    if (polled[1].revents != 0) return Event::kKey;
  }
}

Outcome Watcher::Print() {
  for (uint64_t looks = 1;; ++looks) {
    Time next = std::chrono::steady_clock::now() + options_.interval;
    std::expected<void, Failure> looked = Look();
    if (!looked) return std::unexpected(looked.error());
    cli::Print("{}{}", looks == 1 ? "" : "\n", StatusText(view_, Screen::Of(STDOUT_FILENO)));
    bool written = std::fflush(stdout) == 0;
    if (!written || IsLast(looks)) return kOk;
    for (Event event = Event::kResized; event != Event::kTime;) {
      event = Await(next, -1);
      if (event == Event::kSuspended) ::raise(SIGSTOP);
      if (event == Event::kEnd) return exit_code_;
    }
  }
}

std::string Watcher::LastLine() const {
  if (failure_)
    return fmt::format("weighhouse: {}: trying again", Printable(failure_->error.message, 1000));
  return fmt::format("every {}; q ends", FormatDuration(options_.interval));
}

bool Watcher::Draw(FullScreen& screen) const {
  return screen.Draw(StatusText(view_, Screen::Of(STDOUT_FILENO)), LastLine());
}

bool Watcher::Stay(FullScreen& screen, Time until) {
  for (;;) {
    switch (Await(until, screen.keys())) {
      case Event::kTime:
        return true;
      case Event::kEnd:
        return false;
      case Event::kKey:
        if (std::optional<char> key = screen.TakeKey(); key == 'q' || key == 'Q') return false;
        break;
      case Event::kSuspended:
        screen.Leave();
        ::raise(SIGSTOP);
        screen.Enter();
        [[fallthrough]];
      case Event::kResized:
        if (!Draw(screen)) return false;
        break;
    }
  }
}

Outcome Watcher::Redraw() {
  std::expected<void, Failure> looked = Look();
  if (!looked) return std::unexpected(looked.error());
  FullScreen screen(STDOUT_FILENO, STDIN_FILENO);
  for (uint64_t looks = 1;; ++looks) {
    Time next = std::chrono::steady_clock::now() + options_.interval;
    if (!Draw(screen)) return kExitOfSignal + SIGHUP;
    if (IsLast(looks)) return failure_ ? Outcome(std::unexpected(*failure_)) : kOk;
    if (!Stay(screen, next)) return exit_code_;
    looked = Look();
    failure_.reset();
    if (!looked) failure_ = std::move(looked).error();
  }
}

}  // namespace

Outcome Top(const Options& options) {
  const Signals signals({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP});
  auto client = Client::Connect(options);
  if (!client) return std::unexpected(client.error());
  Watcher watcher(options, std::move(*client), signals);
  return Screen::Of(STDOUT_FILENO).terminal ? watcher.Redraw() : watcher.Print();
}

}  // namespace weighhouse::cli
