#include "cli/paint.h"

#include <fmt/format.h>

namespace weighhouse::cli {
namespace {

std::string_view CodeOf(Tint colour) {
  switch (colour) {
    case Tint::kPlain:
      return "";
    case Tint::kStrong:
      return "1";
    case Tint::kFaint:
      return "2";
    case Tint::kGood:
      return "32";
    case Tint::kBusy:
      return "33";
    case Tint::kBad:
      return "31";
  }
  return "";
}

}  // namespace

std::string Paint::operator()(Tint colour, std::string_view text) const {
  if (!on_ || colour == Tint::kPlain || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", CodeOf(colour), text);
}

}  // namespace weighhouse::cli
