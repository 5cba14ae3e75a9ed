#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "cli/commands.h"
#include "cli/options.h"

namespace CLI {
class App;
}

namespace weighhouse::cli {

/// One command: all that the program knows of it. To add one, add a row.
struct CommandRow {
  /// Connects by itself, or not at all.
  using Alone = Outcome (*)(const Options&);
  using Connected = Outcome (*)(const Options&, Client&);
  /// With what ReadSecret said, which is read before it connects.
  using WithSecret = Outcome (*)(const Options&, Client&, const SecretValues&);

  Command command;
  std::string_view name;  ///< "pull"; "config check" stands below "config"
  const char* description;
  std::variant<Alone, Connected, WithSecret> run;
  /// Adds its flags. Null: it has none.
  void (*describe)(CLI::App& app, Options& options) = nullptr;
  /// What is wrong with what it was told, beyond what its flags say each. Null: nothing can be.
  std::optional<std::string> (*check)(const Options& options) = nullptr;
};

/// In the order of --help.
std::span<const CommandRow> CommandTable();
const CommandRow& RowOf(Command command);

}  // namespace weighhouse::cli
