#include <set>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/completion_script.h"

namespace weighhouse::cli {
namespace {

// Bash breaks words at `=`, so that `--flag=value` is three.
constexpr const char* kScript =
    R"(# bash completion for weighhouse, made by `weighhouse completion bash`.
_weighhouse() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command='' i
  COMPREPLY=()
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      {with_value})
        ((i++))
        if [[ ${{COMP_WORDS[i]}} == '=' ]]; then ((i++)); fi
        continue
        ;;
    esac
    case "$command ${{COMP_WORDS[i]}}" in
      {commands}) command=${{command:+$command }}${{COMP_WORDS[i]}} ;;
    esac
  done
  case "$command $previous" in
{values}  esac
  case "$command/$current" in
{flags}{words}  esac
}}
_weighhouse_words() {{
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}}
_weighhouse_files() {{
  mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
  compopt -o filenames 2>/dev/null || :
}}
complete -F _weighhouse weighhouse
)";

/// What completes a value that is one of `choices`, or is called `name` in --help.
std::string ReplyFor(const std::vector<std::string>& choices, const std::string& name) {
  if (!choices.empty()) return fmt::format("_weighhouse_words '{}'", Join(choices, " "));
  if (name == "DIR") return "_weighhouse_files -d";
  if (name == "FILE" || name == "PATH") return "_weighhouse_files -f";
  return ":";
}

/// The cases of flags that are given a value. `command`: a pattern.
std::string ValueCases(const std::string& command, const std::vector<FlagSpec>& flags) {
  std::string cases;
  for (const FlagSpec& flag : flags) {
    std::string reply = ReplyFor(flag.choices, flag.value);
    for (const std::string& name : flag.names) {
      if (!flag.value.empty())
        cases += fmt::format("    {}' {}') {}; return ;;\n", command, name, reply);
    }
  }
  return cases;
}

std::vector<std::string> NamesOf(const std::vector<FlagSpec>& flags) {
  std::vector<std::string> names;
  for (const FlagSpec& flag : flags)
    names.insert(names.end(), flag.names.begin(), flag.names.end());
  return names;
}

std::vector<std::string> NamesWithValue(const ProgramSpec& spec) {
  std::set<std::string> names;
  auto add = [&](const std::vector<FlagSpec>& flags) {
    for (const FlagSpec& flag : flags) {
      if (!flag.value.empty()) names.insert(flag.names.begin(), flag.names.end());
    }
  };
  add(spec.flags);
  for (const CommandSpec& command : spec.commands) add(command.flags);
  return {names.begin(), names.end()};
}

/// What may stand where a command has no flag: the commands below it, or its argument.
std::string WordCase(const CommandSpec& command) {
  std::string reply;
  if (!command.below.empty()) reply = ReplyFor(command.below, "");
  for (const ArgumentSpec& argument : command.arguments)
    reply = ReplyFor(argument.choices, argument.name);
  return reply.empty() ? "" : fmt::format("    '{}/'*) {} ;;\n", command.name, reply);
}

}  // namespace

std::string BashCompletion(const ProgramSpec& spec) {
  std::vector<std::string> first, patterns;
  std::string values = ValueCases("*", spec.flags);
  std::string everywhere = Join(NamesOf(spec.flags), " ");
  std::string flags, words;
  for (const CommandSpec& command : spec.commands) {
    bool below = command.name.contains(' ');
    if (!below) first.push_back(command.name);
    patterns.push_back(fmt::format("'{}{}'", below ? "" : " ", command.name));
    values += ValueCases(fmt::format("'{}'", command.name), command.flags);
    flags += fmt::format("    '{}/-'*) _weighhouse_words '{} {}' ;;\n", command.name,
                         Join(NamesOf(command.flags), " "), everywhere);
    words += WordCase(command);
  }
  flags += fmt::format("    '/-'*) _weighhouse_words '{}' ;;\n", everywhere);
  words += fmt::format("    '/'*) _weighhouse_words '{}' ;;\n", Join(first, " "));
  return fmt::format(fmt::runtime(kScript),
                     fmt::arg("with_value", Join(NamesWithValue(spec), " | ")),
                     fmt::arg("commands", Join(patterns, " | ")), fmt::arg("values", values),
                     fmt::arg("flags", flags), fmt::arg("words", words));
}

}  // namespace weighhouse::cli
