#include "cli/doctor_finding.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kMostShown = 2000;

/// ECMA-48 SGR.
constexpr std::string_view kUncoloured = "\x1b[0m";

struct Label {
  std::string_view text;  ///< four columns
  std::string_view colour;
};

Label LabelOf(CheckState state) {
  switch (state) {
    case CheckState::kOk:
      return {.text = "ok  ", .colour = "\x1b[32m"};
    case CheckState::kSkip:
      return {.text = "skip", .colour = "\x1b[2m"};
    case CheckState::kWarn:
      return {.text = "warn", .colour = "\x1b[33m"};
    case CheckState::kFail:
      break;
  }
  return {.text = "FAIL", .colour = "\x1b[1;31m"};
}

std::string Counted(size_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

}  // namespace

std::string_view StateName(CheckState state) {
  switch (state) {
    case CheckState::kOk:
      return "ok";
    case CheckState::kSkip:
      return "skip";
    case CheckState::kWarn:
      return "warn";
    case CheckState::kFail:
      break;
  }
  return "fail";
}

size_t CountOf(std::span<const Finding> findings, CheckState state) {
  return static_cast<size_t>(std::ranges::count(findings, state, &Finding::state));
}

Colour ColourFor(int fd) {
  const char* refused = std::getenv("NO_COLOR");
  if (refused != nullptr && *refused != '\0') return Colour::kNone;
  const char* terminal = std::getenv("TERM");
  bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  return ::isatty(fd) == 1 && !dumb ? Colour::kAnsi : Colour::kNone;
}

std::string FindingsText(std::span<const Finding> findings, Colour colour) {
  std::string text;
  for (const Finding& finding : findings) {
    Label label = LabelOf(finding.state);
    std::string shown = colour == Colour::kAnsi
                            ? fmt::format("{}{}{}", label.colour, label.text, kUncoloured)
                            : std::string(label.text);
    text += fmt::format("{}  {}: {}\n", shown, finding.name, Printable(finding.value, kMostShown));
    if (!finding.remedy.empty())
      text += fmt::format("        {}\n", Printable(finding.remedy, kMostShown));
  }
  size_t failed = CountOf(findings, CheckState::kFail);
  size_t warnings = CountOf(findings, CheckState::kWarn);
  size_t skipped = CountOf(findings, CheckState::kSkip);
  text += Counted(findings.size(), "check");
  if (failed + warnings == 0) text += ": nothing is wrong";
  if (failed + warnings > 0) {
    text += fmt::format(": {}, {}", Counted(failed, "failure"), Counted(warnings, "warning"));
  }
  if (skipped > 0) text += fmt::format("; {} skipped", skipped);
  return text + "\n";
}

}  // namespace weighhouse::cli
