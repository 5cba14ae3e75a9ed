#include <fmt/format.h>

#include "base/text.h"
#include "cli/completion_script.h"

namespace weighhouse::cli {
namespace {

std::string QuotedForFish(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

/// Where the words so far name this command.
std::string Condition(const std::string& command) {
  std::string condition;
  for (const std::string& word : SplitAndTrim(command, ' '))
    condition += (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + word);
  return QuotedForFish(condition);
}

std::string FlagLine(const FlagSpec& flag, const std::string& condition) {
  std::string line = "complete -c weighhouse";
  if (!condition.empty()) line += " -n " + condition;
  for (const std::string& name : flag.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  bool files = flag.value == "FILE" || flag.value == "PATH" || flag.value == "DIR";
  if (!flag.value.empty()) line += files ? " -r -F" : " -x";
  if (!flag.choices.empty()) line += " -a " + QuotedForFish(Join(flag.choices, " "));
  return line + " -d " + QuotedForFish(flag.description) + "\n";
}

}  // namespace

std::string FishCompletion(const ProgramSpec& spec) {
  std::string out =
      "# fish completion for weighhouse, made by `weighhouse completion fish`.\n"
      "complete -c weighhouse -f\n";
  for (const FlagSpec& flag : spec.flags) out += FlagLine(flag, "");
  for (const CommandSpec& command : spec.commands) {
    size_t space = command.name.find(' ');
    std::string where = "__fish_use_subcommand";
    if (space != std::string::npos) {
      std::string group = command.name.substr(0, space);
      std::string rest;
      for (const CommandSpec& each : spec.commands) {
        if (each.name == group) rest = Join(each.below, " ");
      }
      where = fmt::format("__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}",
                          group, rest);
    }
    out += fmt::format("complete -c weighhouse -n {} -a {} -d {}\n", QuotedForFish(where),
                       command.name.substr(space == std::string::npos ? 0 : space + 1),
                       QuotedForFish(command.description));
    for (const FlagSpec& flag : command.flags) out += FlagLine(flag, Condition(command.name));
    for (const ArgumentSpec& argument : command.arguments) {
      std::string what =
          argument.name == "FILE" ? "-F" : "-a " + QuotedForFish(Join(argument.choices, " "));
      if (argument.name == "FILE" || !argument.choices.empty())
        out += fmt::format("complete -c weighhouse -n {} {}\n", Condition(command.name), what);
    }
  }
  return out;
}

}  // namespace weighhouse::cli
