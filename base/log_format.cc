#include "base/log_format.h"

#include <algorithm>
#include <functional>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/utf8.h"

namespace weighhouse {
namespace {

/// As written: container runtimes split lines of over 16 KiB, which would make two halves of one
/// JSON object. No line has more than five fields that can be so long.
constexpr size_t kLongestMessage = 4096;
constexpr size_t kLongestValue = 2048;
constexpr std::string_view kNoCharacter = "\xEF\xBF\xBD";  // U+FFFD

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

std::string TimeText(std::chrono::system_clock::time_point time) {
  auto since = std::chrono::floor<std::chrono::milliseconds>(time).time_since_epoch();
  return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                     since.count() % 1000);
}

/// A control character of UTF-8, as JSON writes it.
std::string EscapedControl(std::string_view character) {
  switch (character.back()) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      // Below U+0100: the last byte of two is the code point.
      return fmt::format("\\u{:04x}", static_cast<unsigned char>(character.back()));
  }
}

/// `character`, which is UTF-8, or a byte that isn't, if `length` is 0.
std::string EscapedCharacter(std::string_view character, size_t length, std::string_view special) {
  if (length == 0) return std::string(kNoCharacter);
  if (IsControl(character)) return EscapedControl(character);
  return (special.contains(character) ? "\\" : "") + std::string(character);
}

/// `text` escaped, and cut where it would be longer than `longest`; the characters of `special` get
/// a backslash.
std::string Escaped(std::string_view text, std::string_view special, size_t longest) {
  std::string out;
  while (!text.empty()) {
    size_t length = Utf8Length(text);
    std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    std::string escaped = EscapedCharacter(character, length, special);
    if (out.size() + escaped.size() > longest) return out + "…";
    out += escaped;
    text.remove_prefix(character.size());
  }
  return out;
}

std::string TextValue(const LogField& field) {
  std::string escaped = Escaped(field.value, "\"\\", kLongestValue);
  bool plain = !escaped.empty() && escaped.find_first_of(" =\"\\") == std::string::npos;
  return plain ? escaped : fmt::format("\"{}\"", escaped);
}

std::string JsonText(std::string_view text, size_t longest = kLongestValue) {
  return fmt::format("\"{}\"", Escaped(text, "\"\\", longest));
}

void ForEachField(const LogLine& line, const std::function<void(const LogField&)>& say) {
  for (const LogField& field : line.fields) say(field);
  for (const LogField& field : line.context) {
    bool said = std::ranges::any_of(line.fields,
                                    [&](const LogField& other) { return other.key == field.key; });
    if (!said) say(field);
  }
}

}  // namespace

std::string TextLogLine(const LogLine& line) {
  std::string out = fmt::format("{} {} {}", TimeText(line.time), LevelName(line.level),
                                Escaped(line.message, "", kLongestMessage));
  ForEachField(line, [&out](const LogField& field) {
    out += fmt::format(" {}={}", field.key, TextValue(field));
  });
  return out + "\n";
}

std::string JsonLogLine(const LogLine& line) {
  std::string out = fmt::format(R"({{"time":"{}","level":"{}","message":{})", TimeText(line.time),
                                LevelName(line.level), JsonText(line.message, kLongestMessage));
  ForEachField(line, [&out](const LogField& field) {
    out += fmt::format(",{}:{}", JsonText(field.key),
                       field.is_number ? field.value : JsonText(field.value));
  });
  return out + "}\n";
}

}  // namespace weighhouse
