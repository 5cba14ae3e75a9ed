#include <CLI/CLI.hpp>

#include "cli/command_flags.h"

namespace weighhouse::cli {

void DescribeKeptFile(CLI::App& app, Options& options) {
  app.add_option("--config", options.keep.file,
                 "The configuration file to begin with (default: the daemon's)")
      ->type_name("FILE");
}

void DescribeKeep(CLI::App& app, Options& options) {
  app.add_option("MODEL", options.models,
                 "Models as in the configuration: hf://org/name[@revision]");
  app.add_flag("--list", options.keep.list, "Show what is kept, and how it stands with each");
  app.add_flag("--remove", options.keep.remove, "Keep these no longer");
  DescribeKeptFile(app, options);
}

std::optional<std::string> WrongKeep(const Options& options) {
  if (options.models.empty() != options.keep.list)
    return "keep: give models, or --list to see what is kept";
  if (options.keep.list && (options.keep.remove || !options.keep.file.empty()))
    return "keep: --list goes with neither --remove nor --config";
  if (options.keep.list && options.root)
    return "keep: --list asks a daemon what it keeps, and --root has none";
  if (options.root && options.keep.file.empty())
    return "keep: --root has no configuration: name the file to change with --config FILE";
  return std::nullopt;
}

}  // namespace weighhouse::cli
