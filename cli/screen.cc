#include "cli/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace weighhouse::cli {
namespace {

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Screen Screen::Of(int fd) {
  std::string_view kind = Environment("TERM");
  Screen screen;
  screen.terminal = ::isatty(fd) == 1 && !kind.empty() && kind != "dumb";
  screen.colour = screen.terminal && Environment("NO_COLOR").empty();
  winsize size{};
  bool known = ::ioctl(fd, TIOCGWINSZ, &size) == 0;
  if (known && size.ws_col > 1) screen.width = size.ws_col;
  if (known && size.ws_row > 1) screen.height = size.ws_row;
  return screen;
}

}  // namespace weighhouse::cli
