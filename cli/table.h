#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weighhouse::cli {

/// Columns that `text` takes on a terminal, counted as one per code point.
size_t DisplayWidth(std::string_view text);

/// The beginning of `text` that takes at most `columns`.
std::string_view CutToWidth(std::string_view text, size_t columns);

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

/// Rows of text under titles, each column as wide as its widest cell, two spaces between, no space
/// at line ends.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as there are columns.
  void AddRow(std::vector<std::string> cells);
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace weighhouse::cli
