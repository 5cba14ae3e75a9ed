#include "base/packed_layer.h"

#include <charconv>

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse {
namespace {

constexpr std::string_view kBegin = "layer sha256:";
constexpr size_t kDigits = 64;

}  // namespace

std::string LayerPlace::ToToken() const {
  return fmt::format("{}{} {}#{}#{}", kBegin, digest, size, prefix, path);
}

std::optional<LayerPlace> LayerPlace::Parse(std::string_view token) {
  if (!token.starts_with(kBegin)) return std::nullopt;
  token.remove_prefix(kBegin.size());
  if (token.size() <= kDigits || token[kDigits] != ' ') return std::nullopt;
  LayerPlace place{.digest = std::string(token.substr(0, kDigits))};
  token.remove_prefix(kDigits + 1);
  size_t mark = token.find('#');
  if (!IsHex(place.digest, kDigits) || mark == std::string_view::npos) return std::nullopt;
  const std::string digits(token.substr(0, mark));
  const char* last = digits.c_str() + digits.size();
  auto [end, error] = std::from_chars(digits.c_str(), last, place.size);
  if (error != std::errc() || end != last) return std::nullopt;
  token.remove_prefix(mark + 1);
  mark = token.find('#');
  if (mark == std::string_view::npos || mark + 1 == token.size()) return std::nullopt;
  place.prefix = token.substr(0, mark);
  place.path = token.substr(mark + 1);
  return place;
}

}  // namespace weighhouse
