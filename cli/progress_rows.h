#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "cli/progress_printer.h"

namespace weighhouse::cli {

/// Shows the progress of several pulls on a file descriptor: on a terminal a bar for each, one
/// below the other, redrawn in place; else the lines of each. Of one it shows what a
/// ProgressPrinter does. Where the terminal has too few lines, those that have ended are left out
/// first. Thread-safe: it writes under its lock, so that what two threads say doesn't mix.
/// Destroying it leaves nothing on the terminal.
class ProgressRows {
 public:
  ProgressRows(int fd, ProgressPrinter::Style style, std::vector<std::string> names,
               const Clock& clock);
  ~ProgressRows() { Clear(); }
  ProgressRows(const ProgressRows&) = delete;
  ProgressRows& operator=(const ProgressRows&) = delete;

  // `row`: of the names, from 0.
  void Resolving(size_t row) EXCLUDES(mutex_);
  void Filling(size_t row, const Progress& progress) EXCLUDES(mutex_);
  /// From now on its row says `how`, such as "ready".
  void Ended(size_t row, const std::string& how) EXCLUDES(mutex_);
  void Clear() EXCLUDES(mutex_);

 private:
  struct Row {
    std::string name;
    bool asking = false;
    Progress progress;
    std::string ended;
  };
  /// If it is due, or `at_once`.
  void Draw(bool at_once) REQUIRES(mutex_);
  /// At most so many of the rows, by their numbers, in their order.
  std::vector<size_t> Chosen(size_t most) const REQUIRES(mutex_);

  const int fd_;
  const Clock& clock_;
  const bool rows_shown_;  ///< else each has a printer
  Mutex mutex_;
  std::vector<Row> rows_ GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<ProgressPrinter>> printers_ GUARDED_BY(mutex_);
  size_t drawn_ GUARDED_BY(mutex_) = 0;  ///< rows on the terminal
  std::chrono::steady_clock::time_point next_ GUARDED_BY(mutex_);
};

/// A row of at most `width` columns: the name in `name_width` of them, then `text`.
std::string ProgressRow(const std::string& name, size_t name_width, const std::string& text,
                        size_t width);
/// The columns that the longest of the names may take beside a bar.
size_t NameWidth(const std::vector<std::string>& names, size_t width);

}  // namespace weighhouse::cli
