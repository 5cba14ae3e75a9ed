#include "cli/program_spec.h"

#include <algorithm>
#include <memory>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/app.h"
#include "cli/command_table.h"
#include "cli/completion_script.h"
#include "cli/manual_page.h"

namespace weighhouse::cli {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A command as the parser itself knows it: the witness against the plain data.
struct Known {
  std::string name;
  std::vector<std::string> flags;  ///< with their dashes
};

std::vector<std::string> FlagsOf(CLI::App& app) {
  std::vector<std::string> flags;
  for (CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_snames()) flags.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

class ProgramSpecTest : public ::testing::Test {
 protected:
  /// Every command of the table.
  std::vector<Known> Commands() {
    std::vector<Known> commands;
    for (const CommandRow& row : CommandTable()) {
      CLI::App* command = app_.get();
      std::string name(row.name);
      for (size_t begin = 0; begin < name.size();) {
        size_t end = std::min(name.find(' ', begin), name.size());
        command = command->get_subcommand(name.substr(begin, end - begin));
        begin = end + 1;
      }
      commands.push_back({name, FlagsOf(*command)});
    }
    return commands;
  }
  const CommandSpec& SpecOf(const std::string& name) {
    auto found = std::ranges::find(spec_.commands, name, &CommandSpec::name);
    EXPECT_NE(found, spec_.commands.end()) << name;
    return *found;
  }

  Options options_;
  std::unique_ptr<CLI::App> app_ = MakeApp(options_);
  ProgramSpec spec_ = SpecOfProgram();
};

/// The lines of `text` from the one that begins with `begin`, up to the next that begins with
/// `end`.
std::string PartOf(const std::string& text, const std::string& begin, const std::string& end) {
  size_t from = text.find("\n" + begin);
  if (from == std::string::npos) return "";
  return text.substr(from, text.find("\n" + end, from + 1) - from);
}

TEST_F(ProgramSpecTest, KnowsWhatFlagsTake) {
  const CommandSpec& pull = SpecOf("pull");
  auto layout = std::ranges::find_if(
      pull.flags, [](const FlagSpec& flag) { return flag.names.back() == "--layout"; });
  ASSERT_NE(layout, pull.flags.end());
  EXPECT_THAT(layout->choices, ElementsAre("files", "hub"));
  EXPECT_EQ(layout->value, "LAYOUT");
  auto quiet = std::ranges::find_if(
      pull.flags, [](const FlagSpec& flag) { return flag.names.back() == "--quiet"; });
  ASSERT_NE(quiet, pull.flags.end());
  EXPECT_THAT(quiet->names, ElementsAre("-q", "--quiet"));
  EXPECT_EQ(quiet->value, "");
  ASSERT_EQ(pull.arguments.size(), 1u);
  EXPECT_TRUE(pull.arguments[0].required && pull.arguments[0].repeated);
  EXPECT_FALSE(SpecOf("evict").arguments[0].required);
  EXPECT_FALSE(SpecOf("inspect").arguments[0].repeated);
  EXPECT_THAT(SpecOf("config").below, ElementsAre("check", "keys"));
  EXPECT_THAT(SpecOf("completion").arguments[0].choices, ElementsAre("bash", "zsh", "fish"));
  for (const FlagSpec& flag : SpecOf("top").flags)
    EXPECT_TRUE(flag.choices.empty()) << "a range is no choice: " << flag.names.back();
}

TEST_F(ProgramSpecTest, BashKnowsEveryCommandAndFlag) {
  std::string script = BashCompletion(spec_);
  for (const Known& command : Commands()) {
    std::string line = PartOf(script, "    '" + command.name + "/-'*)", "");
    EXPECT_NE(line, "") << command.name;
    for (const std::string& flag : command.flags) {
      bool stands = line.contains(flag + " ") || line.contains(flag + "'");
      EXPECT_TRUE(stands) << command.name << " " << flag;
    }
  }
  for (const std::string& flag : FlagsOf(*app_))
    EXPECT_THAT(PartOf(script, "    '/-'*)", ""), HasSubstr(flag));
}

TEST_F(ProgramSpecTest, ZshKnowsEveryCommandAndFlag) {
  std::string script = ZshCompletion(spec_);
  for (const Known& command : Commands()) {
    std::string function = "_weighhouse_" + command.name;
    std::ranges::replace(function, ' ', '_');
    std::string body = PartOf(script, function + "() {", "}");
    EXPECT_NE(body, "") << command.name;
    for (const std::string& flag : command.flags)
      EXPECT_THAT(body, ContainsRegex("'[*]" + flag + "=?\\[")) << command.name;
    EXPECT_THAT(script, HasSubstr(") " + function + " ;;\n")) << "it is called";
  }
}

TEST_F(ProgramSpecTest, FishKnowsEveryCommandAndFlag) {
  std::string script = FishCompletion(spec_);
  for (const Known& command : Commands()) {
    std::string last = command.name.substr(command.name.rfind(' ') + 1);
    EXPECT_THAT(script, HasSubstr(" -a " + last + " -d ")) << command.name;
    for (std::string flag : command.flags) {
      if (flag == "--help" || flag == "-h") continue;  // said once, for all
      flag = flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
      bool found = false;
      std::string condition = "__fish_seen_subcommand_from " + last + "'";
      for (size_t at = 0; (at = script.find(condition, at)) != std::string::npos; ++at)
        found |= script.substr(at, script.find('\n', at) - at).contains(flag + " ");
      EXPECT_TRUE(found) << command.name << flag;
    }
  }
  for (const std::string& flag : FlagsOf(*app_))
    EXPECT_THAT(script, HasSubstr((flag.starts_with("--") ? " -l " : " -s ") +
                                  flag.substr(flag.find_first_not_of('-'))));
}

TEST_F(ProgramSpecTest, TheManualPageHasEveryCommandAndFlag) {
  std::string page = ManualPage(spec_);
  auto escaped = [](std::string text) {
    for (size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2)
      text.insert(at, "\\");
    return text;
  };
  for (const Known& command : Commands()) {
    std::string part = PartOf(page, ".SS weighhouse " + escaped(command.name) + "\n", ".S");
    EXPECT_NE(part, "") << command.name;
    for (const std::string& flag : command.flags) {
      if (flag == "--help" || flag == "-h") continue;  // said once, for all
      EXPECT_THAT(part, HasSubstr("\\fB" + escaped(flag) + "\\fR")) << command.name;
    }
  }
  for (const std::string& flag : FlagsOf(*app_))
    EXPECT_THAT(PartOf(page, ".SH \"FLAGS OF EVERY COMMAND\"", ".SH"), HasSubstr(escaped(flag)));
  EXPECT_TRUE(std::ranges::all_of(page, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }))
      << "roff takes other signs by names only";
}

TEST_F(ProgramSpecTest, TextMeansNothingToRoffOrAShell) {
  ProgramSpec spec{.description = "p: .what's \\ it"};
  spec.commands.push_back({.name = "c",
                           .description = "'quoted' [x]: \\",
                           .flags = {{.names = {"--f"}, .description = ".a line\n'another…"}}});
  std::string page = ManualPage(spec);
  EXPECT_THAT(page, HasSubstr("weighhouse \\- \\&.what's \\e it\n"));
  EXPECT_THAT(page, HasSubstr("\n\\&'quoted' [x]: \\e.\n"));
  EXPECT_THAT(page, HasSubstr("\n\\&.a line\n\\&'another...\n"));
  EXPECT_THAT(FishCompletion(spec), HasSubstr("-d '\\'quoted\\' [x]: \\\\'\n"));
  EXPECT_THAT(ZshCompletion(spec), HasSubstr("'c:'\\''quoted'\\'' \\[x\\]\\: \\\\'\n"));
  EXPECT_THAT(BashCompletion(spec), Not(HasSubstr("quoted"))) << "it shows no descriptions";
}

}  // namespace
}  // namespace weighhouse::cli
