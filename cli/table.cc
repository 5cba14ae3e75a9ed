#include "cli/table.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kGap = 2;

struct CodePoints {
  char32_t first, last;
};

/// What joins the sign before it, or is not to be seen.
constexpr std::array kWithoutColumn = {
    CodePoints{0x0300, 0x036F},  CodePoints{0x0483, 0x0489}, CodePoints{0x0591, 0x05BD},
    CodePoints{0x064B, 0x065F},  CodePoints{0x200B, 0x200F}, CodePoints{0x202A, 0x202E},
    CodePoints{0x2060, 0x2069},  CodePoints{0x20D0, 0x20FF}, CodePoints{0xFE00, 0xFE0F},
    CodePoints{0xFE20, 0xFE2F},  CodePoints{0xFEFF, 0xFEFF}, CodePoints{0x1F3FB, 0x1F3FF},
    CodePoints{0xE0100, 0xE01EF}};
/// The blocks that are wide throughout, or nearly (UAX #11: W and F).
constexpr std::array kTwoColumns = {
    CodePoints{0x1100, 0x115F},   CodePoints{0x2E80, 0x303E},   CodePoints{0x3041, 0xA4CF},
    CodePoints{0xA960, 0xA97C},   CodePoints{0xAC00, 0xD7A3},   CodePoints{0xF900, 0xFAFF},
    CodePoints{0xFE30, 0xFE6F},   CodePoints{0xFF01, 0xFF60},   CodePoints{0xFFE0, 0xFFE6},
    CodePoints{0x1F300, 0x1F64F}, CodePoints{0x1F680, 0x1F6FF}, CodePoints{0x1F900, 0x1F9FF},
    CodePoints{0x20000, 0x3FFFD}};

/// What a text begins with: a colour (ESC [ … m), a code point, or a byte that is part of none.
struct Sign {
  size_t bytes = 1;
  size_t columns = 1;
};

/// Of UTF-8 that is right.
char32_t Decode(std::string_view code_point) {
  auto first = static_cast<unsigned char>(code_point[0]);
  if (code_point.size() == 1) return first;
  char32_t value = first & (0x7FU >> code_point.size());
  for (char c : code_point.substr(1)) value = value << 6 | (static_cast<unsigned char>(c) & 0x3FU);
  return value;
}

Sign FirstSign(std::string_view text) {
  if (text.starts_with("\x1b[")) {
    size_t end = text.find('m');
    return {.bytes = end == std::string_view::npos ? text.size() : end + 1, .columns = 0};
  }
  size_t bytes = Utf8Length(text);
  if (bytes <= 1) return {};
  char32_t value = Decode(text.substr(0, bytes));
  auto has = [value](CodePoints range) { return range.first <= value && value <= range.last; };
  if (std::ranges::any_of(kWithoutColumn, has)) return {.bytes = bytes, .columns = 0};
  return {.bytes = bytes, .columns = std::ranges::any_of(kTwoColumns, has) ? 2U : 1U};
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    Sign sign = FirstSign(text);
    width += sign.columns;
    text.remove_prefix(sign.bytes);
  }
  return width;
}

std::string_view CutToWidth(std::string_view text, size_t columns) {
  size_t width = 0, end = 0;
  while (end < text.size()) {
    Sign sign = FirstSign(text.substr(end));
    width += sign.columns;
    if (width > columns) break;
    end += sign.bytes;
  }
  return text.substr(0, end);
}

std::string CutLine(std::string_view line, size_t columns) {
  std::string cut(CutToWidth(line, columns));
  bool may_lack_end = cut.size() < line.size() && cut.contains('\x1b');
  return may_lack_end ? cut + "\x1b[0m" : cut;
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
  std::vector<size_t> chosen(columns_.size());
  std::iota(chosen.begin(), chosen.end(), 0);
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
