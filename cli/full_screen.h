#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <string_view>

namespace weighhouse::cli {

/// A terminal's alternate screen, on which a text is redrawn in place, and its keys, which come one
/// by one and unseen. Destroying it gives the terminal back as it was. Used by one thread.
class FullScreen {
 public:
  /// `out` is a terminal; `keys` is read if it is one.
  FullScreen(int out, int keys);
  ~FullScreen() { Leave(); }
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  /// Gives the terminal back for a while, and takes it again. Each may be called again.
  void Leave();
  void Enter();
  /// Shows the lines of `text` that fit, cut to the screen's width, and `last` in its last line.
  /// False: the terminal is gone.
  bool Draw(const std::string& text, const std::string& last);
  /// Where keys can be awaited; -1: nowhere.
  int keys() const { return has_keys_ ? keys_ : -1; }
  /// A key that was pressed; nothing: none, or the terminal is gone and `keys()` is -1 from now on.
  std::optional<char> TakeKey();

 private:
  bool Write(std::string_view text) const;

  const int out_, keys_;
  bool has_keys_ = false;
  bool entered_ = false;
  termios before_{};
};

/// What draws `text` on a screen of that size: for tests.
std::string DrawingOf(const std::string& text, const std::string& last, size_t width,
                      size_t height);

}  // namespace weighhouse::cli
