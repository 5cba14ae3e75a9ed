#include "cli/table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kGap = 2;

bool StartsCodePoint(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

/// Where the next thing to see is: behind the colours (ESC [ … m) at `i`.
size_t BehindColour(std::string_view text, size_t i) {
  while (text.substr(i).starts_with("\x1b[")) {
    size_t end = text.find('m', i);
    i = end == std::string_view::npos ? text.size() : end + 1;
  }
  return i;
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    i = BehindColour(text, i);
    if (i < text.size() && StartsCodePoint(text[i])) ++width;
  }
  return width;
}

std::string_view CutToWidth(std::string_view text, size_t columns) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t at = BehindColour(text, i);
    if (at < text.size() && StartsCodePoint(text[at]) && ++width > columns)
      return text.substr(0, i);
    i = at;
  }
  return text;
}

void Table::AddRow(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Table::WidthsOf(const Lines& lines) {
  std::vector<size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(line[i]));
  }
  return widths;
}

std::vector<size_t> Table::Chosen(const std::vector<size_t>& widths, size_t max_width) const {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < columns_.size(); ++i) chosen.push_back(i);
  auto total = [&] {
    size_t sum = 0;
    for (size_t i : chosen) sum += widths[i] + kGap;
    return sum - kGap;
  };
  while (total() > max_width) {
    auto last = std::ranges::find_if(chosen.rbegin(), chosen.rend(),
                                     [&](size_t i) { return columns_[i].optional; });
    if (last == chosen.rend()) break;
    chosen.erase(std::next(last).base());
  }
  return chosen;
}

std::string Table::ToString(size_t max_width) const {
  Lines lines(1);
  for (const Column& column : columns_) lines.front().push_back(column.title);
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<size_t> widths = WidthsOf(lines);
  std::vector<size_t> chosen = Chosen(widths, max_width);
  size_t others = 0;
  for (size_t i : chosen) others += i == chosen.front() ? 0 : widths[i] + kGap;
  size_t& first = widths[chosen.front()];
  first = std::min(first, std::max(max_width, others + 1) - others);
  std::string out;
  for (const auto& line : lines) {
    for (size_t i : chosen) {
      std::string_view cell = CutToWidth(line[i], widths[i]);
      std::string padding(widths[i] - DisplayWidth(cell), ' ');
      bool right = columns_[i].align == Align::kRight;
      out += right ? padding : "";
      out += cell;
      out += right ? "" : padding;
      out += std::string(kGap, ' ');
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  return out;
}

}  // namespace weighhouse::cli
