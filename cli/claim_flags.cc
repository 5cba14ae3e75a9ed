#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/volume_limits.h"
#include "cli/command_flags.h"
#include "cli/object_name.h"

namespace weighhouse::cli {
namespace {

void CheckScratchSize(Bytes bytes) {
  constexpr Bytes kLeast = volume_limits::kMinScratchSize, kMost = volume_limits::kMaxScratchSize;
  if (bytes >= kLeast && bytes <= kMost) return;
  throw CLI::ValidationError("--scratch-size",
                             fmt::format("give {}Mi to {}Gi", kLeast / kMiB, kMost / kGiB));
}

}  // namespace

void DescribeStorageClass(CLI::App& app, Options& options) {
  ClaimOptions& claim = options.claim;
  DescribeModel(app, options);
  DescribeLayout(app, options);
  app.add_option_function<std::string>(
         "--access", [&](const std::string& name) { claim.scratch = name == "scratch"; },
         "readOnly (default), or scratch: each pod may write for itself, and its writes vanish "
         "with it")
      ->type_name("ACCESS")
      ->check(OneOf({"readOnly", "scratch"}));
  AddSize(app, "--scratch-size", "With --access scratch: what a pod may write, such as 2Gi",
          [&](const std::string& text, Bytes bytes) {
            CheckScratchSize(bytes);
            claim.scratch_size = text;
          });
  app.add_flag("--cached-only", claim.cached_only, "Only on nodes that have the model already");
  app.add_option("--placement", claim.placement,
                 "Where pods of a single-node claim may run: node (default), where it was made, or "
                 "any")
      ->type_name("PLACEMENT")
      ->check(OneOf({"node", "any"}));
  app.add_option("--name", claim.name, "Of class and claim (default: made of the model's)");
  app.add_option("--namespace", claim.namespace_, "The claim's")->capture_default_str();
  app.add_option("--access-mode", claim.access_mode,
                 "The claim's (default: ReadOnlyMany, with --access scratch ReadWriteMany)")
      ->type_name("MODE")
      ->check(OneOf({"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"}));
  AddSize(
      app, "--limit",
      "What an empty node takes that cluster-autoscaler may add, such as 900Gi (default: as the "
      "cache that is asked, within its cache.limit and its filesystem)",
      [&](const std::string&, Bytes bytes) { claim.limit = bytes; });
}

std::optional<std::string> WrongClaim(const Options& options) {
  const ClaimOptions& claim = options.claim;
  auto wrong = [](std::string_view what) { return fmt::format("storageclass: {}", what); };
  if (!claim.scratch_size.empty() && !claim.scratch)
    return wrong("--scratch-size goes with --access scratch");
  if (claim.scratch && claim.access_mode == "ReadOnlyMany") {
    return wrong(
        "--access scratch needs an --access-mode that writes: ReadWriteMany or ReadWriteOnce");
  }
  if (claim.cached_only && claim.limit)
    return wrong("--limit says what an empty node takes, and --cached-only keeps pods off those");
  if (!claim.name.empty() && !IsObjectName(claim.name)) {
    return wrong(fmt::format("--name '{}' is no name for Kubernetes: {}", Printable(claim.name),
                             kObjectNameForm));
  }
  if (!IsNamespaceName(claim.namespace_)) {
    return wrong(fmt::format("--namespace '{}' is no namespace's name: {}",
                             Printable(claim.namespace_), kNamespaceNameForm));
  }
  return std::nullopt;
}

}  // namespace weighhouse::cli
