#include <cmath>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/command_flags.h"

namespace weighhouse::cli {
namespace {

/// A piece that is read is of 4 MiB.
constexpr Bytes kMinimumRate = kMiB;

constexpr double kLeastInterval = 0.1, kMostInterval = 3600;  // seconds

void DescribeSort(CLI::App& app, Options& options, SortBy first) {
  app.add_option_function<std::string>(
         "--sort",
         [&](const std::string& name) {
           if (name == "used") options.sort = SortBy::kUsed;
           if (name == "size") options.sort = SortBy::kSize;
           if (name == "name") options.sort = SortBy::kName;
           if (name == "state") options.sort = SortBy::kState;
         },
         fmt::format("used: most recently used first; size: largest first; name; state: what isn't "
                     "complete first (default: {})",
                     first == SortBy::kSize ? "size" : "used"))
      ->type_name("KEY")
      ->check(OneOf({"used", "size", "name", "state"}));
  app.add_flag("--reverse", options.reverse, "The other way round");
}

}  // namespace

void DescribeList(CLI::App& app, Options& options) { DescribeSort(app, options, SortBy::kUsed); }

void DescribeDiskUsage(CLI::App& app, Options& options) {
  DescribeSort(app, options, SortBy::kSize);
}

void DescribeTop(CLI::App& app, Options& options) {
  app.add_option_function<double>(
         "--interval",
         [&](double seconds) {
           // Range lets pass what is no number.
           if (std::isnan(seconds)) throw CLI::ValidationError("--interval", "give seconds");
           options.interval = std::chrono::milliseconds(std::llround(seconds * 1000));
         },
         "Between two looks, 0.1 to 3600 (default: 2)")
      ->type_name("SECONDS")
      ->check(CLI::Range(kLeastInterval, kMostInterval).description(""));
  app.add_option("--count", options.count, "End after so many looks (default: at q or Ctrl-C)")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}).description(""));
}

std::optional<std::string> WrongTop(const Options& options) {
  if (options.output == Output::kText) return std::nullopt;
  return "top: it is for people: with --output json use status";
}

void DescribeEvict(CLI::App& app, Options& options) {
  app.add_option("MODEL|ID", options.subject,
                 "A model reference, or a snapshot's id or its beginning");
  app.add_flag("--quarantine", options.quarantine, "The bad files that verify or the scrub found");
}

std::optional<std::string> WrongEvict(const Options& options) {
  if (options.subject.empty() == options.quarantine) return std::nullopt;
  return "evict: give a model or an id, or --quarantine for the bad files that are kept";
}

void DescribeVerify(CLI::App& app, Options& options) {
  app.add_option("MODEL|ID", options.subject,
                 "A model reference, or a snapshot's id or its beginning");
  app.add_flag("--all", options.all, "Everything in the cache");
  AddRate(app, "--rate",
          "Read at most so many bytes a second, such as 100Mi; 0: as fast as possible (default: "
          "the daemon's scrub.verifyRate)",
          kMinimumRate, [&](Bytes bytes) { options.rate = bytes; });
  app.add_flag("-q,--quiet", options.quiet, "No progress");
}

std::optional<std::string> WrongVerify(const Options& options) {
  if (options.subject.empty() == options.all) return std::nullopt;
  return "verify: give a model or an id, or --all for everything";
}

void DescribeConfigCheck(CLI::App& app, Options& options) {
  app.add_option("FILE", options.subject, "The file; /dev/stdin for what is piped in")->required();
}

void DescribeModelId(CLI::App& app, Options& options) {
  app.add_option("MODEL", options.subject, "A model reference, as a volume names it")->required();
}

void DescribeCompletion(CLI::App& app, Options& options) {
  app.add_option("SHELL", options.subject, "bash, zsh or fish")
      ->required()
      ->check(OneOf({"bash", "zsh", "fish"}));
}

}  // namespace weighhouse::cli
