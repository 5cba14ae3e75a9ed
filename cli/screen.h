#pragma once

#include <cstddef>

namespace weighhouse::cli {

/// What a file descriptor shows text on.
struct Screen {
  static constexpr size_t kWidth = 80, kHeight = 24;  ///< where it isn't known

  bool terminal = false;  ///< one that can redraw a line; else a file, a pipe, or TERM=dumb
  bool colour = false;    ///< a terminal, and NO_COLOR is unset or empty (no-color.org)
  size_t width = kWidth;  ///< columns
  size_t height = kHeight;

  /// As it is now: a terminal's size may change.
  static Screen Of(int fd);
};

}  // namespace weighhouse::cli
