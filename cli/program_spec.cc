#include "cli/program_spec.h"

#include <utility>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/app.h"

namespace weighhouse::cli {
namespace {

/// What OneOf named itself after.
std::vector<std::string> ChoicesOf(CLI::Option& option) {
  try {  // CLI11 says with an exception that there is none
    return SplitAndTrim(option.get_validator(0)->get_name(), '|');
  } catch (const CLI::OptionNotFound&) {
    return {};
  }
}

FlagSpec FlagOf(CLI::Option& option) {
  FlagSpec flag{.description = option.get_description()};
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  if (!option.get_default_str().empty())
    flag.description += " (default: " + option.get_default_str() + ")";
  bool takes_value = option.get_items_expected_max() > 0;
  if (takes_value) flag.value = option.get_type_name();
  if (takes_value && flag.value.empty()) flag.value = "VALUE";
  if (takes_value) flag.choices = ChoicesOf(option);
  return flag;
}

void AddOptions(CLI::App& app, std::vector<FlagSpec>& flags, std::vector<ArgumentSpec>& arguments) {
  for (CLI::Option* option : app.get_options()) {
    // Each command has it; it is the program's once.
    bool repeated_help = option->check_lname("help") && app.get_parent() != nullptr;
    if (repeated_help) continue;
    if (!option->get_positional()) {
      flags.push_back(FlagOf(*option));
      continue;
    }
    arguments.push_back({.name = option->get_name(true),
                         .description = option->get_description(),
                         .choices = ChoicesOf(*option),
                         .required = option->get_required(),
                         .repeated = option->get_items_expected_max() > 1});
  }
}

void AddCommands(CLI::App& app, const std::string& above, std::vector<CommandSpec>& commands) {
  for (CLI::App* each : app.get_subcommands(nullptr)) {
    CommandSpec command{.name = above + each->get_name(), .description = each->get_description()};
    AddOptions(*each, command.flags, command.arguments);
    for (CLI::App* below : each->get_subcommands(nullptr))
      command.below.push_back(below->get_name());
    std::string prefix = command.name + " ";
    commands.push_back(std::move(command));
    AddCommands(*each, prefix, commands);
  }
}

}  // namespace

ProgramSpec SpecOfProgram() {
  Options unused;
  std::unique_ptr<CLI::App> app = MakeApp(unused);
  ProgramSpec spec{.description = app->get_description(), .footer = app->get_footer()};
  std::vector<ArgumentSpec> none;
  AddOptions(*app, spec.flags, none);
  AddCommands(*app, "", spec.commands);
  return spec;
}

}  // namespace weighhouse::cli
