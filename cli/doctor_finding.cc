#include "cli/doctor_finding.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kMostShown = 2000;

struct Label {
  std::string_view text;  ///< four columns
  Colour colour;
};

Label LabelOf(CheckState state) {
  switch (state) {
    case CheckState::kOk:
      return {.text = "ok  ", .colour = Colour::kGood};
    case CheckState::kSkip:
      return {.text = "skip", .colour = Colour::kFaint};
    case CheckState::kWarn:
      return {.text = "warn", .colour = Colour::kBusy};
    case CheckState::kFail:
      break;
  }
  return {.text = "FAIL", .colour = Colour::kBad};
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

std::string FindingsText(std::span<const Finding> findings, const Paint& paint) {
  std::string text;
  for (const Finding& finding : findings) {
    Label label = LabelOf(finding.state);
    text += fmt::format("{}  {}: {}\n", paint(label.colour, label.text), finding.name,
                        Printable(finding.value, kMostShown));
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
