#pragma once

#include <string>
#include <string_view>

namespace weighhouse::cli {

enum class Colour { kPlain, kStrong, kFaint, kGood, kBusy, kBad };

/// Colours text for a terminal (ECMA-48 SGR), or leaves it as it is. What it adds takes no columns:
/// DisplayWidth and CutToWidth know.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}
  std::string operator()(Colour colour, std::string_view text) const;

 private:
  bool on_;
};

}  // namespace weighhouse::cli
