#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/progress_text.h"

namespace weighhouse::cli {

/// Shows a pull's progress on a file descriptor: on a terminal one bar that is redrawn in place at
/// most five times a second, else lines at stage changes and every five seconds. Not thread-safe.
/// Destroying it leaves the line empty.
class ProgressPrinter {
 public:
  enum class Style { kBar, kLines, kNone };
  /// kBar if `fd` is a terminal that can redraw a line.
  static Style StyleFor(int fd);

  ProgressPrinter(int fd, Style style, std::string name, const Clock& clock);
  ~ProgressPrinter() { Clear(); }
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void Resolving();
  void Filling(const Progress& progress);
  /// Removes the bar, so that other text can be written.
  void Clear();

 private:
  enum class Stage { kNone, kResolving, kFilling };
  /// True if the stage changed or the last text is old enough to be replaced.
  bool IsDue(Stage stage, const std::string& waiting_for);
  void Show(const std::string& text);
  size_t Width() const;

  const int fd_;
  const Style style_;
  const std::string name_;
  const Clock& clock_;
  Stage stage_ = Stage::kNone;
  std::string waiting_for_;
  std::chrono::steady_clock::time_point next_;
  bool drawn_ = false;
};

/// Progress is a courtesy: whoever closed the descriptor doesn't want it, so errors are no matter.
void WriteProgress(int fd, std::string_view text);

}  // namespace weighhouse::cli
