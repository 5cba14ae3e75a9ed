#include "cache-daemon/source/sha256sums.h"

#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

struct SumLine {
  std::string path;
  Digest digest;
};

/// `\\` and `\n` as sha256sum(1) escapes them; nothing for another escape.
std::optional<std::string> Unescape(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '\\') {
      out += path[i];
      continue;
    }
    if (++i == path.size() || (path[i] != '\\' && path[i] != 'n')) return std::nullopt;
    out += path[i] == 'n' ? '\n' : '\\';
  }
  return out;
}

std::optional<SumLine> ParseBsdLine(std::string_view line) {
  constexpr std::string_view kBegin = "SHA256 (", kMiddle = ") = ";
  size_t middle = line.rfind(kMiddle);
  if (!line.starts_with(kBegin) || middle == std::string_view::npos) return std::nullopt;
  Result<Digest> digest = Digest::FromHex(ToLower(Trim(line.substr(middle + kMiddle.size()))));
  if (!digest) return std::nullopt;
  return SumLine{.path = std::string(line.substr(kBegin.size(), middle - kBegin.size())),
                 .digest = *digest};
}

std::optional<SumLine> ParseLine(std::string_view line) {
  constexpr size_t kDigits = Digest::kSize * 2;
  bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  Result<Digest> digest = Digest::FromHex(ToLower(line.substr(0, kDigits)));
  bool whole = digest && line.size() > kDigits + 2 && line[kDigits] == ' ' &&
               (line[kDigits + 1] == ' ' || line[kDigits + 1] == '*');
  if (!whole) return std::nullopt;
  std::string_view path = line.substr(kDigits + 2);
  std::optional<std::string> plain = escaped ? Unescape(path) : std::string(path);
  if (!plain) return std::nullopt;
  return SumLine{.path = *std::move(plain), .digest = *digest};
}

}  // namespace

Result<std::map<std::string, Digest>> ParseSha256Sums(std::string_view text) {
  std::map<std::string, Digest> sums;
  for (size_t number = 1; !text.empty(); ++number) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (Trim(line).empty() || line.starts_with('#')) continue;
    std::optional<SumLine> sum = ParseLine(line);
    if (!sum) sum = ParseBsdLine(line);
    if (!sum) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("{} line {} is '{}': give '<64 hexadecimal digits>  path'",
                              kSha256Sums, number, Printable(line, 100)));
    }
    while (sum->path.starts_with("./")) sum->path.erase(0, 2);
    auto [place, inserted] = sums.emplace(std::move(sum->path), sum->digest);
    if (inserted || place->second == sum->digest) continue;
    return Fail(Code::kInvalidArgument, fmt::format("{} line {} gives '{}' a second digest",
                                                    kSha256Sums, number, Printable(place->first)));
  }
  return sums;
}

Result<> ApplySha256Sums(const std::map<std::string, Digest>& sums, std::vector<ListedFile>& files,
                         const std::function<bool(const std::string&)>& is_left_out) {
  std::set<std::string_view> there;
  for (ListedFile& file : files) {
    there.insert(file.path);
    auto found = sums.find(file.path);
    if (found == sums.end() || file.path == kSha256Sums) continue;
    file.identity = {.kind = FileIdentity::Kind::kSha256, .value = found->second.Hex()};
  }
  for (const auto& [path, sha256] : sums) {
    if (there.contains(path) || path == kSha256Sums) continue;
    if (is_left_out && is_left_out(path)) continue;
    return Fail(Code::kFailedPrecondition,
                fmt::format("{} lists '{}', which isn't there: finish the copy, or mend the list",
                            kSha256Sums, Printable(path)));
  }
  return {};
}

Result<> ApplySha256Text(std::string_view text, std::string_view name,
                         std::vector<ListedFile>& files) {
  auto sums = ParseSha256Sums(text);
  Result<> applied = sums ? ApplySha256Sums(*sums, files) : std::unexpected(sums.error());
  if (!applied) return std::unexpected(std::move(applied).error().Within(Printable(name)));
  return {};
}

Result<> ApplySha256Text(std::string_view text, std::string_view name, ListedFile& file) {
  auto sums = ParseSha256Sums(text);
  if (!sums) return std::unexpected(std::move(sums).error().Within(Printable(name)));
  auto found = sums->find(file.path);
  if (found == sums->end()) return {};
  file.identity = {.kind = FileIdentity::Kind::kSha256, .value = found->second.Hex()};
  return {};
}

}  // namespace weighhouse::source
