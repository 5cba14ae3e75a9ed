#include "cli/command_table.h"

#include <algorithm>
#include <array>

#include "cli/command_flags.h"

namespace weighhouse::cli {
namespace {

constexpr auto kTable = std::to_array<CommandRow>({
    {.command = Command::kPull,
     .name = "pull",
     .description = "Fetch models, verify them, and say where their trees are",
     .run = Pull,
     .describe = DescribePull,
     .check = WrongPull},
    {.command = Command::kKeep,
     .name = "keep",
     .description = "Print the patch of the DaemonSet's ConfigMap that keeps models on every node; "
                    "it changes nothing by itself",
     .run = Keep,
     .describe = DescribeKeep,
     .check = WrongKeep},
    {.command = Command::kList,
     .name = "ls",
     .description = "List the models in the cache, most recently used first",
     .run = List,
     .describe = DescribeList},
    {.command = Command::kDiskUsage,
     .name = "du",
     .description = "Show what each model takes on the disk, and what it shares with others",
     .run = DiskUsage,
     .describe = DescribeDiskUsage},
    {.command = Command::kStatus,
     .name = "status",
     .description = "Show space, models, pods, fills, what went wrong, and how the daemon runs",
     .run = Status},
    {.command = Command::kTop,
     .name = "top",
     .description = "Show what status shows, again and again in place; q ends",
     .run = Top,
     .describe = DescribeTop,
     .check = WrongTop},
    {.command = Command::kInspect,
     .name = "inspect",
     .description = "Ask what a model consists of and what a pull would fetch; fetches no file",
     .run = Inspect,
     .describe = DescribeInspect},
    {.command = Command::kStorageClass,
     .name = "storageclass",
     .description = "Print a StorageClass for a model, a claim of the right size, and the capacity "
                    "that cluster-autoscaler needs, for kubectl apply -f -",
     .run = StorageClass,
     .describe = DescribeStorageClass,
     .check = WrongClaim},
    {.command = Command::kEvict,
     .name = "evict",
     .description = "Remove a model that nobody uses",
     .run = Evict,
     .describe = DescribeEvict,
     .check = WrongEvict},
    {.command = Command::kVerify,
     .name = "verify",
     .description = "Read files again and compare their digests; exits with 1 if one is bad",
     .run = Verify,
     .describe = DescribeVerify,
     .check = WrongVerify},
    {.command = Command::kConfigCheck,
     .name = "config check",
     .description = "Check a configuration file: exits with 2 and says line, key, value and what "
                    "is allowed if it is wrong",
     .run = ConfigCheck,
     .describe = DescribeConfigCheck},
    {.command = Command::kConfigKeys,
     .name = "config keys",
     .description = "Print the reference page of all keys",
     .run = ConfigKeys},
    {.command = Command::kDoctor,
     .name = "doctor",
     .description =
         "Examine this node: what is wrong, the value found, and what to do; exits with 1 "
         "if something fails",
     .run = Doctor,
     .describe = [](CLI::App& app, Options& options) { DescribeDoctor(app, options.doctor); }},
    {.command = Command::kModelId,
     .name = "model-id",
     .description = "Print the id that stands for a model in the labels of nodes that have it",
     .run = ModelId,
     .describe = DescribeModelId},
    {.command = Command::kAgent,
     .name = "agent",
     .description = "Tell Kubernetes what the daemon does: see weighhouse agent --help",
     .run = AgentComesFirst},
    {.command = Command::kCompletion,
     .name = "completion",
     .description = "Print a script that completes commands and flags in a shell",
     .run = Completion,
     .describe = DescribeCompletion},
    {.command = Command::kManual,
     .name = "man",
     .description = "Print the manual page, for man -l -",
     .run = Manual},
    {.command = Command::kVersion,
     .name = "version",
     .description = "Print the version of this program",
     .run = Version},
});

}  // namespace

std::span<const CommandRow> CommandTable() { return kTable; }

const CommandRow& RowOf(Command command) {
  auto row = std::ranges::find(kTable, command, &CommandRow::command);
  CHECK(row != kTable.end());
  return *row;
}

}  // namespace weighhouse::cli
