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

/// Takes the cursor up so many lines and empties what is below (ECMA-48: CUU, ED).
std::string EraseRows(size_t rows) {
  return rows == 0 ? "" : fmt::format("\r\x1b[{}A\x1b[J", rows);
}

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
  bool news = !std::exchange(rows_[row].asking, true);
  Draw(news);
}

void ProgressRows::Filling(size_t row, const Progress& progress) {
  MutexLock lock(mutex_);
  if (!rows_shown_) return printers_[row]->Filling(progress);
  // Before the fill has counted its files: 0 of 0 would read as done.
  if (progress.files_total == 0) return;
  bool news = rows_[row].progress.files_total == 0;
  rows_[row].asking = false;
  rows_[row].progress = progress;
  Draw(news);
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
  WriteProgress(fd_, EraseRows(drawn_));
  drawn_ = 0;
}

std::vector<size_t> ProgressRows::Chosen(size_t most) const {
  size_t too_many = rows_.size() - std::min(rows_.size(), most);
  std::vector<size_t> chosen;
  for (size_t i = 0; i < rows_.size(); ++i) {
    bool left_out = too_many > 0 && !rows_[i].ended.empty();
    if (left_out) --too_many;
    if (!left_out && chosen.size() < most) chosen.push_back(i);
  }
  return chosen;
}

void ProgressRows::Draw(bool at_once) {
  auto now = clock_.Steady();
  if (!at_once && now < next_) return;
  next_ = now + kRowsInterval;
  Screen screen = Screen::Of(fd_);
  size_t width = screen.width - 1;  // some terminals wrap when the last column is written
  std::vector<std::string> names;
  names.reserve(rows_.size());
  for (const Row& row : rows_) names.push_back(row.name);
  size_t name_width = NameWidth(names, width);
  size_t beside = width - std::min(width, name_width + kNameGap);
  std::string text = EraseRows(drawn_);
  // Those above the screen's top could not be redrawn; the cursor stands below the last.
  std::vector<size_t> chosen = Chosen(screen.height - 1);
  for (size_t i : chosen) {
    const Row& row = rows_[i];
    std::string state = row.ended;
    if (state.empty() && row.asking) state = "asking the source";
    if (state.empty() && row.progress.files_total > 0)
      state = ProgressBar("", row.progress, beside);
    text += ProgressRow(row.name, name_width, state, width) + "\n";
  }
  drawn_ = chosen.size();
  WriteProgress(fd_, text);
}

}  // namespace weighhouse::cli
