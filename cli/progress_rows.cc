#include "cli/progress_rows.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cli/screen.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

constexpr std::chrono::milliseconds kRowsInterval{200};
constexpr size_t kLeastName = 12;
constexpr size_t kNameGap = 2;

}  // namespace

size_t NameWidth(const std::vector<std::string>& names, size_t width) {
  size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, DisplayWidth(name));
  return std::min(longest, std::max(width / 3, kLeastName));
}

std::string ProgressRow(const std::string& name, size_t name_width, const std::string& text,
                        size_t width) {
  // Its end tells models apart.
  size_t hidden = DisplayWidth(name) - std::min(DisplayWidth(name), name_width);
  std::string_view shown = std::string_view(name).substr(CutToWidth(name, hidden).size());
  std::string padding(name_width - DisplayWidth(shown) + kNameGap, ' ');
  return std::string(CutToWidth(fmt::format("{}{}{}", shown, padding, text), width));
}

ProgressRows::ProgressRows(int fd, ProgressPrinter::Style style, std::vector<std::string> names,
                           const Clock& clock)
    : fd_(fd),
      clock_(clock),
      rows_shown_(style == ProgressPrinter::Style::kBar && names.size() > 1) {
  MutexLock lock(mutex_);
  for (std::string& name : names) {
    if (!rows_shown_)
      printers_.push_back(std::make_unique<ProgressPrinter>(fd, style, name, clock));
    rows_.push_back({.name = std::move(name)});
  }
}

void ProgressRows::Resolving(size_t row) {
  MutexLock lock(mutex_);
  if (!rows_shown_) return printers_[row]->Resolving();
  rows_[row].asking = true;
  Draw(false);
}

void ProgressRows::Filling(size_t row, const Progress& progress) {
  MutexLock lock(mutex_);
  if (!rows_shown_) return printers_[row]->Filling(progress);
  // Before the fill has counted its files: 0 of 0 would read as done.
  if (progress.files_total == 0) return;
  rows_[row].asking = false;
  rows_[row].progress = progress;
  Draw(false);
}

void ProgressRows::Ended(size_t row, const std::string& how) {
  MutexLock lock(mutex_);
  if (!rows_shown_) return printers_[row]->Clear();
  rows_[row].ended = how;
  Draw(true);
}

void ProgressRows::Clear() {
  MutexLock lock(mutex_);
  for (const auto& printer : printers_) printer->Clear();
  if (drawn_ > 0) WriteProgress(fd_, fmt::format("\r\x1b[{}A\x1b[J", drawn_));
  drawn_ = 0;
}

void ProgressRows::Draw(bool at_once) {
  auto now = clock_.Steady();
  if (!at_once && now < next_) return;
  next_ = now + kRowsInterval;
  Screen screen = Screen::Of(fd_);
  size_t width = screen.width - 1;  // some terminals wrap when the last column is written
  std::vector<std::string> names;
  for (const Row& row : rows_) names.push_back(row.name);
  size_t name_width = NameWidth(names, width);
  size_t beside = width - std::min(width, name_width + kNameGap);
  // Those above the screen's top could not be redrawn.
  size_t shown = std::min(rows_.size(), screen.height - 1);
  std::string text = drawn_ > 0 ? fmt::format("\r\x1b[{}A\x1b[J", drawn_) : "";
  for (size_t i = 0; i < shown; ++i) {
    const Row& row = rows_[i];
    std::string state = row.ended;
    if (state.empty() && row.asking) state = "asking the source";
    if (state.empty() && row.progress.files_total > 0)
      state = ProgressBar("", row.progress, beside);
    text += ProgressRow(row.name, name_width, state, width) + "\n";
  }
  drawn_ = shown;
  WriteProgress(fd_, text);
}

}  // namespace weighhouse::cli
