#include "csi/volume_context.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/text.h"
#include "base/volume_limits.h"

namespace weighhouse::csi {
namespace {

constexpr std::array<std::string_view, 7> kParameters = {
    "model", "revision", "allowPatterns", "ignorePatterns", "layout", "access", "scratchSize"};
/// What only a StorageClass says: where its claims are provisioned.
constexpr std::array<std::string_view, 2> kClassParameters = {"cachedOnly", "placement"};
constexpr std::string_view kCommit = volume_limits::kCommitKey;
constexpr Bytes kDefaultScratchSize = kGiB;
constexpr std::array<std::string_view, 2> kForeignPrefixes = {"csi.storage.k8s.io/",
                                                              "storage.kubernetes.io/"};
/// Of the Hugging Face Hub, of ModelScope, of web servers, of OCI registries, of S3 (its SDKs'
/// names and KServe's), of Google Cloud Storage (KServe's name and the SDKs').
constexpr std::array<std::string_view, 21> kCredentialKeys = {"HF_TOKEN",
                                                              "token",
                                                              "MODELSCOPE_API_TOKEN",
                                                              "HTTP_TOKEN",
                                                              "HTTP_USERNAME",
                                                              "HTTP_PASSWORD",
                                                              ".dockerconfigjson",
                                                              "username",
                                                              "password",
                                                              "AWS_ACCESS_KEY_ID",
                                                              "AWS_SECRET_ACCESS_KEY",
                                                              "AWS_SESSION_TOKEN",
                                                              "AWS_REGION",
                                                              "AWS_DEFAULT_REGION",
                                                              "AWS_ENDPOINT_URL",
                                                              "AWS_ENDPOINT_URL_S3",
                                                              "awsAccessKeyID",
                                                              "awsSecretAccessKey",
                                                              "awsSessionToken",
                                                              "gcloud-application-credentials.json",
                                                              "GOOGLE_APPLICATION_CREDENTIALS"};
constexpr std::string_view kEphemeral = "csi.storage.k8s.io/ephemeral";

std::string Value(const StringMap& attributes, std::string_view key) {
  auto found = attributes.find(std::string(key));
  return found == attributes.end() ? "" : found->second;
}

/// Refuses `key` unless it is one of ours that has a meaning at `place`.
Result<> CheckKey(std::string_view key, ParameterPlace place) {
  if (std::ranges::find(kParameters, key) != kParameters.end()) return {};
  bool in_class = place == ParameterPlace::kStorageClass;
  bool of_class = std::ranges::find(kClassParameters, key) != kClassParameters.end();
  if (in_class ? of_class : key == kCommit) return {};
  if (of_class) {
    return Fail(Code::kInvalidArgument,
                fmt::format("parameter `{}` says where a claim is provisioned, which this volume "
                            "isn't: only a StorageClass has it; remove it",
                            key));
  }
  if (key == kCommit) {
    return Fail(Code::kInvalidArgument,
                "parameter `commit` is what each claim's volume gets by itself: give the "
                "StorageClass the commit as `revision`");
  }
  std::vector<std::string_view> known(kParameters.begin(), kParameters.end());
  if (in_class) known.insert(known.end(), kClassParameters.begin(), kClassParameters.end());
  std::string_view nearest = Nearest(key, known);
  std::string hint = nearest.empty() ? fmt::format("known are {}", fmt::join(known, ", "))
                                     : fmt::format("did you mean `{}`?", nearest);
  return Fail(Code::kInvalidArgument,
              fmt::format("unknown parameter `{}`: {}", Printable(key, 80), hint));
}

Result<std::vector<std::string>> ParseJsonPatterns(std::string_view key, std::string_view text) {
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> patterns;
  bool good = json.is_array();
  if (good) {
    for (const auto& item : json) {
      const auto* pattern = item.get_ptr<const nlohmann::json::string_t*>();
      good = good && pattern != nullptr;
      if (pattern != nullptr) patterns.push_back(*pattern);
    }
  }
  if (!good) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} {}: starts with `[` but is no JSON array of strings; give "
                            "[\"*.json\", \"*.safetensors\"] or *.json,*.safetensors",
                            key, Printable(text, 120)));
  }
  return patterns;
}

/// Unset where the key is absent; an empty value means no restriction.
Result<std::optional<std::vector<std::string>>> ParsePatterns(const StringMap& attributes,
                                                              std::string_view key) {
  using Patterns = std::optional<std::vector<std::string>>;
  auto found = attributes.find(std::string(key));
  if (found == attributes.end()) return Patterns();
  std::string_view text = Trim(found->second);
  std::vector<std::string> patterns = SplitAndTrim(text, ',');
  if (text.starts_with('[')) patterns = TRY(ParseJsonPatterns(key, text));
  if (patterns.size() > volume_limits::kMaxPatterns) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} holds {} patterns: at most {} are allowed", key, patterns.size(),
                            volume_limits::kMaxPatterns));
  }
  for (const std::string& pattern : patterns) {
    bool clean = Printable(pattern, volume_limits::kMaxPatternBytes) == pattern;
    if (pattern.empty() || !clean) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("{} `{}`: a pattern has 1 to {} printable characters", key,
                              Printable(pattern, 80), volume_limits::kMaxPatternBytes));
    }
  }
  return Patterns(std::move(patterns));
}

/// What `revision` meant when the volume was made; "" where that isn't said.
Result<std::string> ParseCommit(const StringMap& attributes, const ModelReference& model) {
  std::string commit = Value(attributes, kCommit);
  if (commit.empty()) return commit;
  if (!model.HasCommits()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("commit {}: {} models have no commits, leave it out",
                            Printable(commit, 64), model.Scheme()));
  }
  if (!model.IsCommit(commit)) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("commit `{}`: must be 40 lower-case hexadecimal digits of an hf:// model, "
                    "or sha256: and 64 of an oci:// model",
                    Printable(commit, 64)));
  }
  return commit;
}

/// 0 unless the access is scratch.
Result<Bytes> ParseScratchSize(const StringMap& attributes) {
  std::string access(Trim(Value(attributes, "access")));
  std::string text(Trim(Value(attributes, "scratchSize")));
  if (!access.empty() && access != "readOnly" && access != "scratch") {
    return Fail(Code::kInvalidArgument, fmt::format("access `{}` is not known: give readOnly or "
                                                    "scratch",
                                                    Printable(access, 80)));
  }
  if (access != "scratch") {
    if (text.empty()) return Bytes{0};
    return Fail(Code::kInvalidArgument,
                "scratchSize says how much a pod may write, which it can't: give `access: "
                "scratch` too, or remove it");
  }
  if (text.empty()) return kDefaultScratchSize;
  Result<Bytes> size = ParseBytes(text);
  if (!size) return std::unexpected(std::move(size).error().Within("scratchSize"));
  if (*size >= volume_limits::kMinScratchSize && *size <= volume_limits::kMaxScratchSize) {
    return *size;
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("scratchSize {}: give {} to {}, of the memory that the pod may use",
                          Printable(text, 80), FormatBytes(volume_limits::kMinScratchSize),
                          FormatBytes(volume_limits::kMaxScratchSize)));
}

}  // namespace

bool IsForeignKey(std::string_view key) {
  return std::ranges::any_of(kForeignPrefixes,
                             [&](std::string_view prefix) { return key.starts_with(prefix); });
}

Result<> CheckParameters(const StringMap& parameters, ParameterPlace place) {
  size_t bytes = 0;
  for (const auto& [key, value] : parameters) {
    if (IsForeignKey(key)) continue;
    TRY(CheckKey(key, place));
    bytes += key.size() + value.size();
  }
  // Room for what CreateVolume adds.
  if (place == ParameterPlace::kStorageClass) bytes += volume_limits::kCommitBytes;
  if (bytes > volume_limits::kMaxAttributeBytes) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the volume's parameters take {} bytes: at most {} are allowed", bytes,
                            volume_limits::kMaxAttributeBytes));
  }
  return {};
}

Result<VolumeContext> VolumeContext::Parse(const StringMap& attributes) {
  TRY(CheckParameters(attributes, ParameterPlace::kVolume));
  std::string model(Trim(Value(attributes, "model")));
  if (model.empty()) {
    return Fail(Code::kInvalidArgument,
                "parameter `model` is missing: give one such as hf://org/name@revision");
  }
  VolumeContext context;
  std::string revision(Trim(Value(attributes, "revision")));
  context.model = TRY(ModelReference::Parse(model, revision));
  context.model.commit = TRY(ParseCommit(attributes, context.model));
  context.model.allow_patterns = TRY(ParsePatterns(attributes, "allowPatterns"));
  context.model.ignore_patterns = TRY(ParsePatterns(attributes, "ignorePatterns"));
  std::string layout(Trim(Value(attributes, "layout")));
  if (!layout.empty()) context.layout = TRY(ParseLayout(layout));
  context.scratch_size = TRY(ParseScratchSize(attributes));
  context.pod_namespace = Value(attributes, "csi.storage.k8s.io/pod.namespace");
  context.pod_name = Value(attributes, "csi.storage.k8s.io/pod.name");
  context.pod_uid = Value(attributes, "csi.storage.k8s.io/pod.uid");
  return context;
}

bool IsInlineVolume(std::string_view volume_id, const StringMap& attributes) {
  constexpr std::string_view kPrefix = "csi-";
  bool inline_form = volume_id.starts_with(kPrefix) && IsHex(volume_id.substr(kPrefix.size()), 64);
  return inline_form || Value(attributes, kEphemeral) == "true";
}

Result<> CheckPodInfo(const VolumeContext& context, std::string_view target_pod_uid) {
  bool complete =
      !context.pod_namespace.empty() && !context.pod_name.empty() && !context.pod_uid.empty();
  if (!complete) {
    return Fail(Code::kFailedPrecondition,
                "an inline volume came without its pod's name, namespace and uid: set "
                "`podInfoOnMount: true` in the CSIDriver object");
  }
  if (!target_pod_uid.empty() && context.pod_uid != target_pod_uid) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("csi.storage.k8s.io/pod.uid is {} but the target lies in pod {}'s "
                            "directory: set `podInfoOnMount: true` in the CSIDriver object",
                            Printable(context.pod_uid, 64), Printable(target_pod_uid, 64)));
  }
  return {};
}

Result<Credentials> SelectCredentials(const StringMap& secrets) {
  Credentials credentials;
  std::vector<std::string> others;
  for (const auto& entry : secrets) {
    if (IsForeignKey(entry.first)) continue;
    if (std::ranges::find(kCredentialKeys, entry.first) != kCredentialKeys.end()) {
      credentials.values.insert(entry);
    } else {
      others.push_back(entry.first);
    }
  }
  if (!credentials.values.empty() || others.empty()) return credentials;
  return Fail(
      Code::kInvalidArgument,
      fmt::format("the volume's secret has the keys {}, of which none is a credential: give "
                  "it one of {}",
                  Printable(Join(others, ", "), 200), fmt::join(kCredentialKeys, ", ")));
}

}  // namespace weighhouse::csi
