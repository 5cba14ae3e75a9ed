#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace weighhouse {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

/// Something that a line says to programs: a text, or a number (of milliseconds, bytes or things:
/// docs/logs.md has the keys and their units). Never a secret.
struct LogField {
  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  template <std::integral Number>
    requires(!std::same_as<Number, bool>)
  LogField(std::string_view name, Number number)
      : key(name), value(std::to_string(number)), is_number(true) {}

  std::string key;  ///< lower-case words with `_` between them
  std::string value;
  bool is_number = false;
};
using LogFields = std::vector<LogField>;

/// One line of the log. What it refers to outlives it.
struct LogLine {
  std::chrono::system_clock::time_point time;
  LogLevel level = LogLevel::kInfo;
  std::string_view message;
  const LogFields& fields;   ///< of this line
  const LogFields& context;  ///< of what it is about; a key that is in `fields` too isn't repeated
};

/// `2025-01-31T12:00:00.123Z info message key=value key="a value"`, and a newline. Values with a
/// space, a quote, `=` or a backslash are in quotes. Control characters are escaped (\n, \u001b)
/// and what isn't UTF-8 becomes U+FFFD, so that whatever a stranger called his model, it is one
/// line of printable text. A message is cut at 4 KiB, a value at 2 KiB, as they are written:
/// container runtimes split lines of 16 KiB.
std::string TextLogLine(const LogLine& line);

/// The same as one JSON object, its keys in this order: "time", "level", "message", the fields',
/// the context's; and a newline.
std::string JsonLogLine(const LogLine& line);

}  // namespace weighhouse
