#include "cli/full_screen.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "cli/screen.h"
#include "cli/table.h"

namespace weighhouse::cli {
namespace {

// ECMA-48, and xterm's private modes 1049 (alternate screen) and 25 (cursor).
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kEndOfLine = "\x1b[0m\x1b[K";
constexpr std::string_view kEraseBelow = "\x1b[J";

}  // namespace

std::string DrawingOf(const std::string& text, const std::string& last, size_t width,
                      size_t height) {
  std::string drawing(kHome);
  // The last column stays empty: what erases the rest of a line would erase a sign there.
  size_t columns = width - 1;
  size_t rows = 0;
  for (size_t begin = 0; begin < text.size() && rows + 1 < height; ++rows) {
    size_t end = std::min(text.find('\n', begin), text.size());
    drawing += CutToWidth(std::string_view(text).substr(begin, end - begin), columns);
    drawing += fmt::format("{}\r\n", kEndOfLine);
    begin = end + 1;
  }
  drawing += kEraseBelow;
  drawing += fmt::format("\x1b[{};1H{}{}", height, CutToWidth(last, columns), kEndOfLine);
  return drawing;
}

FullScreen::FullScreen(int out, int keys) : out_(out), keys_(keys) {
  has_keys_ = ::isatty(keys_) == 1 && ::tcgetattr(keys_, &before_) == 0;
  Enter();
}

void FullScreen::Enter() {
  if (entered_) return;
  entered_ = true;
  if (has_keys_) {
    termios unseen = before_;
    unseen.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    unseen.c_cc[VMIN] = 0;
    unseen.c_cc[VTIME] = 0;
    ::tcsetattr(keys_, TCSADRAIN, &unseen);
  }
  Write(kEnter);
}

void FullScreen::Leave() {
  if (!entered_) return;
  entered_ = false;
  Write(kLeave);
  if (has_keys_) ::tcsetattr(keys_, TCSADRAIN, &before_);
}

bool FullScreen::Draw(const std::string& text, const std::string& last) {
  Screen screen = Screen::Of(out_);
  return Write(DrawingOf(text, last, screen.width, screen.height));
}

std::optional<char> FullScreen::TakeKey() {
  char key = 0;
  ssize_t count = ::read(keys_, &key, 1);
  if (count == 1) return key;
  // Without a key read() gives 0 here too, but then nobody was told to read.
  has_keys_ = false;
  return std::nullopt;
}

bool FullScreen::Write(std::string_view text) const {
  while (!text.empty()) {
    ssize_t written = ::write(out_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace weighhouse::cli
