#include "cli/progress_printer.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/screen.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kBarInterval = 200ms;
constexpr auto kLineInterval = 5s;
constexpr std::string_view kEraseLine = "\r\x1b[K";  // ECMA-48: carriage return, EL

}  // namespace

void WriteProgress(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

ProgressPrinter::Style ProgressPrinter::StyleFor(int fd) {
  return Screen::Of(fd).terminal ? Style::kBar : Style::kLines;
}

ProgressPrinter::ProgressPrinter(int fd, Style style, std::string name, const Clock& clock)
    : fd_(fd), style_(style), name_(std::move(name)), clock_(clock) {}

void ProgressPrinter::Resolving() {
  if (IsDue(Stage::kResolving, "")) Show(fmt::format("{}: asking the source", name_));
}

void ProgressPrinter::Filling(const Progress& progress) {
  // Before the fill has counted its files: 0 of 0 would read as done.
  if (progress.files_total == 0) return;
  if (!IsDue(Stage::kFilling, progress.waiting_for)) return;
  Show(style_ == Style::kBar ? ProgressBar(name_, progress, Width())
                             : ProgressLine(name_, progress));
}

void ProgressPrinter::Clear() {
  if (drawn_) WriteProgress(fd_, kEraseLine);
  drawn_ = false;
}

bool ProgressPrinter::IsDue(Stage stage, const std::string& waiting_for) {
  if (style_ == Style::kNone) return false;
  auto now = clock_.Steady();
  bool news =
      stage != stage_ || (style_ == Style::kLines && waiting_for.empty() != waiting_for_.empty());
  if (!news && now < next_) return false;
  stage_ = stage;
  waiting_for_ = waiting_for;
  next_ = now;
  if (style_ == Style::kBar) next_ += kBarInterval;
  if (style_ == Style::kLines) next_ += kLineInterval;
  return true;
}

void ProgressPrinter::Show(const std::string& text) {
  if (style_ == Style::kLines) return WriteProgress(fd_, text + "\n");
  drawn_ = true;
  WriteProgress(fd_, std::string(kEraseLine) + std::string(CutToWidth(text, Width())));
}

size_t ProgressPrinter::Width() const {
  // The last column stays empty: some terminals wrap when it is written.
  return Screen::Of(fd_).width - 1;
}

}  // namespace weighhouse::cli
