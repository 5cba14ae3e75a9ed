#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/completion_script.h"

namespace weighhouse::cli {
namespace {

constexpr const char* kBegin =
    R"(# bash completion for weighhouse, made by `weighhouse completion bash`.
_weighhouse() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' words='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      WITH_VALUE) ((i++)) && continue ;;
    esac
    case "$command ${COMP_WORDS[i]}" in
      COMMANDS) command=${command:+$command }${COMP_WORDS[i]} ;;
    esac
  done
  case "$command $previous" in
)";

constexpr const char* kEnd = R"(  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _weighhouse weighhouse
)";

/// Of the values of a flag: what bash's compgen is told.
std::string WordsFor(const FlagSpec& flag) {
  if (!flag.choices.empty()) return fmt::format("-W '{}'", Join(flag.choices, " "));
  if (flag.value == "DIR") return "-d";
  if (flag.value == "FILE" || flag.value == "PATH") return "-f";
  return "";
}

/// The case of flags that are given a value. `command`: a pattern.
std::string ValueCases(const std::string& command, const std::vector<FlagSpec>& flags) {
  std::string cases;
  for (const FlagSpec& flag : flags) {
    if (flag.value.empty()) continue;
    std::string words = WordsFor(flag);
    std::string reply =
        words.empty()
            ? ""
            : fmt::format("mapfile -t COMPREPLY < <(compgen {} -- \"$current\") && ", words);
    for (const std::string& name : flag.names)
      cases += fmt::format("    {}' {}') {}return ;;\n", command, name, reply);
  }
  return cases;
}

std::string Replaced(std::string text, std::string_view what, const std::string& by) {
  size_t at = text.find(what);
  return text.replace(at, what.size(), by);
}

}  // namespace

std::string BashCompletion(const ProgramSpec& spec) {
  std::vector<std::string> with_value, patterns, everywhere;
  std::string values = ValueCases("*", spec.flags);
  auto note = [&](const std::vector<FlagSpec>& flags, std::vector<std::string>& names) {
    for (const FlagSpec& flag : flags) {
      for (const std::string& name : flag.names) {
        names.push_back(name);
        if (!flag.value.empty()) with_value.push_back(name);
      }
    }
  };
  note(spec.flags, everywhere);
  everywhere.emplace_back("--help");
  std::vector<std::string> first;
  std::string words;
  for (const CommandSpec& command : spec.commands) {
    bool below = command.name.contains(' ');
    if (!below) first.push_back(command.name);
    patterns.push_back(fmt::format("'{}{}'", below ? "" : " ", command.name));
    values += ValueCases(fmt::format("'{}'", command.name), command.flags);
    std::vector<std::string> names = command.below;
    for (const ArgumentSpec& argument : command.arguments)
      names.insert(names.end(), argument.choices.begin(), argument.choices.end());
    note(command.flags, names);
    words += fmt::format("    '{}') words='{}' ;;\n", command.name, Join(names, " "));
  }
  std::string begin = Replaced(kBegin, "WITH_VALUE", Join(with_value, " | "));
  return fmt::format(
      "{}{}  esac\n  case $command in\n    '') words='{}' ;;\n{}  esac\n  words+=' {}'\n{}",
      Replaced(begin, "COMMANDS", Join(patterns, " | ")), values, Join(first, " "), words,
      Join(everywhere, " "), kEnd);
}

}  // namespace weighhouse::cli
