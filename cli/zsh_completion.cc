#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/completion_script.h"

namespace weighhouse::cli {
namespace {

/// In single quotes, for _arguments and _describe, to which `:`, `[` and `]` mean something.
std::string Quoted(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == ':' || c == '[' || c == ']' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string ActionOf(const std::vector<std::string>& choices, const std::string& value) {
  if (!choices.empty()) return "(" + Join(choices, " ") + ")";
  if (value == "DIR") return "_files -/";
  return value == "FILE" || value == "PATH" ? "_files" : " ";
}

std::string FlagLines(const std::vector<FlagSpec>& flags) {
  std::string lines;
  for (const FlagSpec& flag : flags) {
    std::string value = flag.value.empty() ? ""
                                           : fmt::format(":{}:{}", Quoted(flag.value),
                                                         ActionOf(flag.choices, flag.value));
    for (const std::string& name : flag.names) {
      bool may_have_equals = !value.empty() && name.starts_with("--");
      lines += fmt::format(" \\\n    '*{}{}[{}]{}'", name, may_have_equals ? "=" : "",
                           Quoted(flag.description), value);
    }
  }
  return lines;
}

std::string FunctionOf(const std::string& name) {
  std::string function = "_weighhouse_" + name;
  std::ranges::replace(function, ' ', '_');
  return function;
}

/// A function that completes the names in `commands` and hands the rest to theirs.
std::string GroupFunction(const std::string& function, const std::string& prefix,
                          const std::vector<const CommandSpec*>& commands,
                          const std::vector<FlagSpec>& flags) {
  std::string described, cases;
  for (const CommandSpec* command : commands) {
    std::string last = command->name.substr(command->name.rfind(' ') + 1);
    described += fmt::format("    '{}:{}'\n", last, Quoted(command->description));
    cases += fmt::format("    {}) {} ;;\n", last, FunctionOf(prefix + last));
  }
  return fmt::format(
      "{}() {{\n  local context state state_descr line\n  typeset -A opt_args\n"
      "  local -a commands=(\n{}  )\n"
      "  _arguments -C{} \\\n    '1: :->command' '*:: :->rest'\n"
      "  case $state in\n    command) _describe command commands ; return ;;\n  esac\n"
      "  case $line[1] in\n{}  esac\n}}\n",
      function, described, FlagLines(flags), cases);
}

std::string CommandFunction(const CommandSpec& command, const std::vector<FlagSpec>& everywhere) {
  std::string arguments;
  for (const ArgumentSpec& argument : command.arguments) {
    arguments += fmt::format(" \\\n    '{}:{}:{}'", argument.repeated ? "*" : "",
                             Quoted(argument.name), ActionOf(argument.choices, argument.name));
  }
  return fmt::format("{}() {{\n  _arguments{}{}{}\n}}\n", FunctionOf(command.name),
                     FlagLines(everywhere), FlagLines(command.flags), arguments);
}

}  // namespace

std::string ZshCompletion(const ProgramSpec& spec) {
  std::string out =
      "#compdef weighhouse\n# zsh completion for weighhouse, made by `weighhouse completion "
      "zsh`.\n";
  std::vector<const CommandSpec*> first;
  for (const CommandSpec& command : spec.commands) {
    if (!command.name.contains(' ')) first.push_back(&command);
    if (command.below.empty()) {
      out += CommandFunction(command, spec.flags);
      continue;
    }
    std::vector<const CommandSpec*> below;
    for (const CommandSpec& each : spec.commands) {
      if (each.name.starts_with(command.name + " ")) below.push_back(&each);
    }
    out += GroupFunction(FunctionOf(command.name), command.name + " ", below, spec.flags);
  }
  return out + GroupFunction("_weighhouse", "", first, spec.flags) +
         "if [ \"$funcstack[1]\" = _weighhouse ]; then\n  _weighhouse \"$@\"\nelse\n"
         "  compdef _weighhouse weighhouse\nfi\n";
}

}  // namespace weighhouse::cli
