#pragma once

#include <string>
#include <vector>

namespace weighhouse::cli {

/// What the program takes, as plain data: for the completions and the manual page, which must say
/// what the parser does.
struct FlagSpec {
  std::vector<std::string> names;  ///< "-q", "--quiet"; the long one last
  std::string value;               ///< "FILE"; empty: it takes none
  std::vector<std::string> choices;
  std::string description;
};
struct ArgumentSpec {
  std::string name;
  std::string description;
  std::vector<std::string> choices;
  bool required = false;
  bool repeated = false;
};
struct CommandSpec {
  std::string name;  ///< "pull", "config check"; of a group: "config"
  std::string description;
  std::vector<FlagSpec> flags;
  std::vector<ArgumentSpec> arguments;
  std::vector<std::string> below;  ///< the names of a group's commands: "check"
};
struct ProgramSpec {
  std::string description;
  std::vector<FlagSpec> flags;  ///< they go with every command; --help, too
  std::vector<CommandSpec> commands;
  std::string footer;
};

/// What MakeApp's parser takes.
ProgramSpec SpecOfProgram();

}  // namespace weighhouse::cli
