#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weighhouse::cli {

/// Columns that `text` takes on a terminal: two for what is wide in East Asia, none for marks that
/// join the sign before and for what Paint adds, else one per code point.
size_t DisplayWidth(std::string_view text);

/// The beginning of `text` that takes at most `columns`. It may lack the end of a colour.
std::string_view CutToWidth(std::string_view text, size_t columns);
/// The same, and a colour that would go on behind it ends.
std::string CutLine(std::string_view line, size_t columns);

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
  /// May be left out where there is no room, the rightmost such first.
  bool optional = false;
};

/// Rows of text under titles, each column as wide as its widest cell, two spaces between, no space
/// at line ends.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns.
  void AddRow(std::vector<std::string> cells);
  std::string ToString() const { return ToString(std::string_view::npos); }
  /// At most so many columns wide: without optional columns where that is needed, and cut in the
  /// first one where it still is.
  std::string ToString(size_t max_width) const;

 private:
  using Lines = std::vector<std::vector<std::string>>;
  static std::vector<size_t> WidthsOf(const Lines& lines);
  /// Which columns are shown within `max_width`.
  std::vector<size_t> Chosen(const std::vector<size_t>& widths, size_t max_width) const;

  std::vector<Column> columns_;
  Lines rows_;
};

}  // namespace weighhouse::cli
