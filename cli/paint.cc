#include "cli/paint.h"

#include <fmt/format.h>

namespace weighhouse::cli {
namespace {

std::string_view CodeOf(Colour colour) {
  switch (colour) {
    case Colour::kPlain:
      return "";
    case Colour::kStrong:
      return "1";
    case Colour::kFaint:
      return "2";
    case Colour::kGood:
      return "32";
    case Colour::kBusy:
      return "33";
    case Colour::kBad:
      return "31";
  }
  return "";
}

}  // namespace

std::string Paint::operator()(Colour colour, std::string_view text) const {
  if (!on_ || colour == Colour::kPlain || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", CodeOf(colour), text);
}

}  // namespace weighhouse::cli
