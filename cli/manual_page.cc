#include "cli/manual_page.h"

#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::cli {
namespace {

/// Text of a line: nothing in it means something to roff.
std::string Escaped(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    line_begins = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";  // a sign that can be copied, and no hyphen
    } else {
      out += c;
    }
  }
  size_t at = 0;
  for (std::string_view ellipsis = "…"; (at = out.find(ellipsis)) != std::string::npos;)
    out.replace(at, ellipsis.size(), "...");
  return out;
}

std::string Bold(std::string_view text) { return "\\fB" + Escaped(text) + "\\fR"; }
std::string Italic(std::string_view text) { return "\\fI" + Escaped(text) + "\\fR"; }

std::string FlagHead(const FlagSpec& flag) {
  std::vector<std::string> names;
  names.reserve(flag.names.size());
  for (const std::string& name : flag.names) names.push_back(Bold(name));
  std::string head = Join(names, ", ");
  std::string value = flag.choices.empty() ? Italic(flag.value) : Bold(Join(flag.choices, "|"));
  return flag.value.empty() ? head : head + " " + value;
}

std::string FlagParts(const std::vector<FlagSpec>& flags) {
  std::string out;
  for (const FlagSpec& flag : flags)
    out += fmt::format(".TP\n{}\n{}\n", FlagHead(flag), Escaped(flag.description));
  return out;
}

std::string CommandPart(const CommandSpec& command) {
  std::string head = Bold("weighhouse " + command.name);
  for (const ArgumentSpec& argument : command.arguments) {
    std::string name =
        argument.choices.empty() ? Italic(argument.name) : Bold(Join(argument.choices, "|"));
    if (argument.repeated) name += " ...";
    head += argument.required ? " " + name : " [" + name + "]";
  }
  if (!command.flags.empty()) head += " [" + Italic("flags") + "]";
  std::string out = fmt::format(".SS {}\n{}.\n", Escaped("weighhouse " + command.name),
                                Escaped(command.description));
  out += fmt::format(".PP\n{}\n", head);
  for (const ArgumentSpec& argument : command.arguments)
    out += fmt::format(".TP\n{}\n{}\n", Italic(argument.name), Escaped(argument.description));
  return out + FlagParts(command.flags);
}

}  // namespace

std::string ManualPage(const ProgramSpec& spec) {
  size_t colon = spec.description.find(": ");
  std::string what = spec.description.substr(colon == std::string::npos ? 0 : colon + 2);
  std::string out = fmt::format(
      ".\\\" Made by `weighhouse man`.\n.TH WEIGHHOUSE 1 \"\" \"Weighhouse {}\" \"User commands\"\n"
      ".ad l\n"  // URLs don't break, so that lines can't be of one length
      ".SH NAME\nweighhouse \\- {}\n.SH SYNOPSIS\n{} {} [{}]\n.SH DESCRIPTION\n"
      "Talks to the node's cache daemon, or with {} carries the whole engine along and needs "
      "none.\n"
      ".SH \"FLAGS OF EVERY COMMAND\"\n",
      Escaped(WEIGHHOUSE_VERSION), Escaped(what), Bold("weighhouse"), Italic("command"),
      Italic("flags"), Bold("--root"));
  out += FlagParts(spec.flags) + ".SH COMMANDS\n";
  for (const CommandSpec& command : spec.commands) {
    if (command.below.empty()) out += CommandPart(command);
  }
  out += ".SH \"EXIT STATUS AND OUTPUT\"\n";
  for (const std::string& line : SplitAndTrim(spec.footer, '\n'))
    out += fmt::format(".PP\n{}\n", Escaped(line));
  return out;
}

}  // namespace weighhouse::cli
