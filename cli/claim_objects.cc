#include "cli/claim_objects.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/volume_limits.h"
#include "base/web_reference.h"
#include "cli/object_name.h"

namespace weighhouse::cli {
namespace {

constexpr std::string_view kDriver = "csi.weighhouse.dev";
/// Where the DaemonSet runs; capacity objects may lie in any namespace.
constexpr std::string_view kSystemNamespace = "weighhouse-system";
constexpr size_t kMaxPatterns = volume_limits::kMaxPatterns;
constexpr size_t kMaxPatternBytes = volume_limits::kMaxPatternBytes;
constexpr size_t kMaxParameterBytes = volume_limits::kMaxClassBytes;

std::string ModelParameter(const ModelReference& model) { return UriWithDigest(model); }

Result<std::string> PatternsParameter(const char* flag, const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    if (!pattern.empty() && Printable(pattern, kMaxPatternBytes) == pattern) continue;
    return Fail(Code::kInvalidArgument,
                fmt::format("{} '{}': a pattern has 1 to {} printable characters", flag,
                            Printable(pattern, 80), kMaxPatternBytes));
  }
  if (patterns.size() > kMaxPatterns) {
    return Fail(Code::kInvalidArgument, fmt::format("{} is given {} times: at most {} are allowed",
                                                    flag, patterns.size(), kMaxPatterns));
  }
  return Json(patterns).dump();
}

/// The parameters of the class, as csi/volume_context.h reads them; those at their default are left
/// out, but for the revision.
Result<Json> Parameters(const ClaimFacts& facts) {
  const ClaimOptions& options = facts.options;
  Json parameters{{"model", ModelParameter(facts.model)}};
  std::string revision = facts.model.RevisionOrDefault();
  if (!revision.empty()) parameters["revision"] = revision;
  if (facts.model.allow_patterns)
    parameters["allowPatterns"] = TRY(PatternsParameter("--allow", *facts.model.allow_patterns));
  if (facts.model.ignore_patterns)
    parameters["ignorePatterns"] = TRY(PatternsParameter("--ignore", *facts.model.ignore_patterns));
  if (facts.layout != Layout::kFiles) parameters["layout"] = LayoutName(facts.layout);
  if (options.scratch) parameters["access"] = "scratch";
  if (!options.scratch_size.empty()) parameters["scratchSize"] = options.scratch_size;
  if (options.cached_only) parameters["cachedOnly"] = "true";
  if (!options.placement.empty()) parameters["placement"] = options.placement;
  size_t bytes = 0;
  for (const auto& [key, value] : parameters.items())
    bytes += key.size() + value.get_ref<const std::string&>().size();
  if (bytes <= kMaxParameterBytes) return parameters;
  return Fail(Code::kInvalidArgument,
              fmt::format("model and patterns take {} bytes: a volume's parameters take at most {}",
                          bytes, kMaxParameterBytes));
}

std::string NameOf(const ClaimFacts& facts, const Json& parameters) {
  const ClaimOptions& options = facts.options;
  if (!options.name.empty()) return options.name;
  std::string words;
  if (facts.layout == Layout::kHub) words += "-hub";
  if (options.scratch) words += "-scratch";
  if (options.cached_only) words += "-cached";
  if (options.placement == "any") words += "-any";
  bool exact = facts.model.allow_patterns || facts.model.ignore_patterns ||
               facts.model.expected_sha256 || facts.model.uri.contains('?') ||
               !options.scratch_size.empty();
  return ObjectNameOf(facts.model, words, parameters.dump(), exact);
}

YamlComments ClassComments(const ClaimFacts& facts) {
  YamlComments comments;
  comments[""] =
      "One class for one model, because a claim can't name a model. The parameters of a class "
      "can't\nbe changed: for others make another class, under another name.";
  comments["/volumeBindingMode"] =
      "A claim waits for its first pod, so that the scheduler can choose a node where the model "
      "fits.";
  comments["/reclaimPolicy"] =
      "With the claim goes its volume, not the model: a cache evicts what no pod uses when it "
      "needs room.";
  if (!facts.commit.empty() && facts.commit != facts.model.revision) {
    comments["/parameters/revision"] = fmt::format(
        "Resolved once for each claim, whose pods then all read the same commit. Now it is\n{}.",
        facts.commit);
  }
  comments["/parameters/layout"] = "A Hugging Face cache: set HF_HUB_CACHE to where it is mounted.";
  comments["/parameters/access"] =
      "A pod may write beside the model, for itself; what it wrote vanishes with it.";
  comments["/parameters/cachedOnly"] =
      "Only nodes that have the model: `keep` in their configuration, or `weighhouse pull`, brings "
      "it.";
  comments["/parameters/placement"] =
      "Of pods of single-node claims: node, where it was made, or any.";
  return comments;
}

Json Class(const std::string& name, const Json& parameters) {
  return {{"apiVersion", "storage.k8s.io/v1"},
          {"kind", "StorageClass"},
          {"metadata", {{"name", name}}},
          {"provisioner", kDriver},
          {"volumeBindingMode", "WaitForFirstConsumer"},
          {"reclaimPolicy", "Delete"},
          {"parameters", parameters}};
}

YamlComments CapacityComments(const ClaimFacts& facts) {
  YamlComments comments;
  comments[""] =
      "For cluster-autoscaler: a node that it may add publishes no capacity yet, and without this "
      "it\nwould add none for a pod whose claim has no volume. No node that exists matches the "
      "label.";
  comments["/capacity"] = fmt::format(
      "What an empty node's cache takes: {}. Change both numbers\nto what it takes on the nodes "
      "that are added: cache.limit, or what their filesystem leaves of it.",
      facts.options.limit ? "--limit" : "as the cache that was asked");
  return comments;
}

/// Without the label csi.storage.k8s.io/managed-by: a provisioner deletes what has its own and is
/// of no node that it knows.
Json TemplateCapacity(const std::string& name, Bytes limit) {
  return {{"apiVersion", "storage.k8s.io/v1"},
          {"kind", "CSIStorageCapacity"},
          {"metadata", {{"name", name + "-new-nodes"}, {"namespace", kSystemNamespace}}},
          {"storageClassName", name},
          {"nodeTopology",
           {{"matchLabels", {{"cluster-autoscaler.kubernetes.io/template-node", "true"}}}}},
          {"capacity", Quantity(limit)},
          {"maximumVolumeSize", Quantity(limit)}};
}

YamlComments CommentsOfClaim(const ClaimFacts& facts) {
  YamlComments comments;
  comments[""] = "A claim to mount in pods, or a template of one.";
  if (!facts.options.scratch)
    comments["/spec/accessModes"] = "Whatever the mode, no pod can write.";
  comments["/spec/resources"] = fmt::format("The model takes {}.", FormatBytes(facts.model_bytes));
  return comments;
}

Json Claim(const ClaimOptions& options, const std::string& name, Bytes bytes) {
  std::string mode = options.access_mode;
  if (mode.empty()) mode = options.scratch ? "ReadWriteMany" : "ReadOnlyMany";
  return {{"apiVersion", "v1"},
          {"kind", "PersistentVolumeClaim"},
          {"metadata", {{"name", name}, {"namespace", options.namespace_}}},
          {"spec",
           {{"storageClassName", name},
            {"accessModes", Json::array({mode})},
            {"resources", {{"requests", {{"storage", Quantity(bytes)}}}}}}}};
}

}  // namespace

Result<Json> MakeClaimObjects(const ClaimFacts& facts) {
  Json parameters = TRY(Parameters(facts));
  std::string name = NameOf(facts, parameters);
  Json objects = Json::array({Class(name, parameters)});
  Bytes bytes = facts.recommended_bytes;
  if (!facts.options.cached_only) {
    if (facts.model_bytes > facts.limit) {
      return Fail(Code::kOutOfRange,
                  fmt::format("{} takes {}, and an empty node's cache takes {}: give the nodes a "
                              "larger cache.limit and say it with --limit, or select fewer files",
                              facts.model.ToString(), FormatBytes(facts.model_bytes),
                              FormatBytes(facts.limit)));
    }
    bytes = std::min(bytes, facts.limit);
    objects.push_back(TemplateCapacity(name, facts.limit));
  }
  objects.push_back(Claim(facts.options, name, bytes));
  return objects;
}

YamlComments ClaimComments(const ClaimFacts& facts, const Json& object) {
  if (object["kind"] == "StorageClass") return ClassComments(facts);
  if (object["kind"] == "CSIStorageCapacity") return CapacityComments(facts);
  return CommentsOfClaim(facts);
}

std::string Quantity(Bytes bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  size_t unit = 0;
  while (bytes != 0 && bytes % kKiB == 0 && unit + 1 < kUnits.size()) {
    bytes /= kKiB;
    ++unit;
  }
  return fmt::format("{}{}", bytes, kUnits[unit]);
}

}  // namespace weighhouse::cli
