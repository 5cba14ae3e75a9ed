#include <algorithm>

#include <fmt/format.h>

#include "base/model.h"
#include "base/oci_reference.h"
#include "base/shown_reference.h"
#include "base/text.h"
#include "base/web_reference.h"

namespace weighhouse {
namespace {

constexpr std::string_view kForms =
    "give hf://org/name[@revision], modelscope://org/name[@revision], "
    "oci://registry/repository[:tag|@sha256:<hex>], s3://bucket/prefix, gs://bucket/prefix, "
    "https://host/path/file[#sha256=<hex>], https://host/directory-with-SHA256SUMS/, "
    "https://host/list.json#manifest or file:///absolute/path";

/// In bytes: room for a signed URL, and little enough to be kept in every record.
constexpr size_t kMaxModelSize = 2000;

/// `[\w.-]{1,96}`, not starting or ending with `-` or `.`, no `--`, no `..`, not ending in `.git`
/// (huggingface_hub's rules for a repository id).
bool IsHubName(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (name.empty() || name.size() > 96 || !std::ranges::all_of(name, allowed)) return false;
  auto bad_edge = [](char c) { return c == '-' || c == '.'; };
  return !bad_edge(name.front()) && !bad_edge(name.back()) && !name.contains("--") &&
         !name.contains("..") && !name.ends_with(".git");
}

/// git's rules for a ref name (git-check-ref-format(1)), as far as they keep a name harmless.
bool IsRevision(std::string_view revision) {
  auto allowed = [](char c) {
    return c > 0x20 && c < 0x7F && !std::string_view("~^:?*[\\%#").contains(c);
  };
  return revision.size() <= 200 && std::ranges::all_of(revision, allowed) &&
         !revision.contains("..") && !revision.contains("//") && !revision.starts_with('/') &&
         !revision.ends_with('/') && !revision.starts_with('.') && !revision.contains("/.");
}

/// A place of repositories called org/name, with revisions.
struct RepositoryForm {
  std::string_view scheme;   ///< "hf://"
  std::string_view service;  ///< for messages
};
constexpr RepositoryForm kHub{"hf://", "Hugging Face"};
constexpr RepositoryForm kModelScope{"modelscope://", "ModelScope"};

Result<ModelReference> ParseRepository(std::string_view model, const RepositoryForm& form) {
  ModelReference reference;
  std::string_view rest = model.substr(form.scheme.size());
  if (rest.starts_with("models/")) rest.remove_prefix(std::string_view("models/").size());
  if (rest.starts_with("datasets/") || rest.starts_with("spaces/")) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' names a dataset or a space: only models are served",
                            ShownReference(model)));
  }
  size_t mark = rest.find_first_of("@:");
  std::string_view repository = rest.substr(0, mark);
  if (mark != std::string_view::npos) {
    reference.revision = rest.substr(mark + 1);
    if (reference.revision.empty()) {
      return Fail(
          Code::kInvalidArgument,
          fmt::format("'{}' ends with an empty revision: drop the '{}' or name a branch, tag "
                      "or commit",
                      ShownReference(model), rest[mark]));
    }
  }
  size_t slash = repository.find('/');
  bool valid = slash != std::string_view::npos && IsHubName(repository.substr(0, slash)) &&
               IsHubName(repository.substr(slash + 1));
  if (!valid) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a {} model: give {}org/name[@revision]",
                            ShownReference(model), form.service, form.scheme));
  }
  reference.uri = fmt::format("{}{}", form.scheme, repository);
  return reference;
}

Result<ModelReference> ParseFile(std::string_view model) {
  std::string_view path = model.substr(std::string_view("file://").size());
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  bool clean = path.starts_with('/') && path.size() > 1 && !path.contains("//") &&
               Printable(path, path.size()) == path;
  for (const std::string& part : SplitAndTrim(path, '/'))
    clean = clean && part != ".." && part != ".";
  if (!clean) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is not a local model: give file:///absolute/path without ., .., // "
                    "and control characters",
                    Printable(model)));
  }
  return ModelReference{.uri = fmt::format("file://{}", path)};
}

Result<> CheckRevision(const ModelReference& reference) {
  if (reference.Scheme() == "oci") return CheckOciRevision(reference.revision);
  if (IsRevision(reference.revision)) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("revision '{}' is not a branch, tag, refs/pr/N or commit",
                          Printable(reference.revision)));
}

/// A bucket's name at AWS, GCS or a service of its own: it becomes part of a host's name or a path.
bool IsBucket(std::string_view name) {
  auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  auto allowed = [&](char c) { return alphanumeric(c) || c == '-' || c == '.' || c == '_'; };
  return name.size() >= 3 && name.size() <= 222 && std::ranges::all_of(name, allowed) &&
         alphanumeric(name.front()) && alphanumeric(name.back()) && !name.contains("..");
}

/// `s3://bucket/prefix` or `gs://…`, raw as the clouds' own tools take it: nothing is escaped.
Result<ModelReference> ParseBucket(std::string_view model) {
  size_t begin = model.find("://") + 3;
  size_t slash = std::min(model.find('/', begin), model.size());
  std::string_view bucket = model.substr(begin, slash - begin);
  std::string_view key = model.substr(std::min(slash + 1, model.size()));
  while (key.ends_with('/')) key.remove_suffix(1);
  bool clean = key.size() <= 1024 && Printable(key, key.size() + 1) == key &&
               key.find_first_of("?#") == std::string_view::npos && !key.starts_with('/');
  if (!IsBucket(bucket) || !clean) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a model in a bucket: give {}bucket/prefix, at most 1024 "
                            "bytes without ?, # and control characters, not percent-encoded",
                            ShownReference(model), model.substr(0, begin)));
  }
  std::string uri(model.substr(0, slash));
  return ModelReference{.uri = key.empty() ? uri : fmt::format("{}/{}", uri, key)};
}

Result<ModelReference> ParseUri(std::string_view model) {
  for (const RepositoryForm& form : {kHub, kModelScope}) {
    if (model.starts_with(form.scheme)) return ParseRepository(model, form);
  }
  if (model.starts_with("oci://")) return ParseOciReference(model);
  if (model.starts_with("s3://") || model.starts_with("gs://")) return ParseBucket(model);
  if (model.starts_with("https://") || model.starts_with("http://"))
    return ParseWebReference(model);
  if (model.starts_with("file://")) return ParseFile(model);
  bool hub_id = !model.contains(':') && std::ranges::count(model, '/') == 1;
  return Fail(
      Code::kInvalidArgument,
      hub_id ? fmt::format("'{}' has no scheme: did you mean hf://{}?", ShownReference(model),
                           ShownReference(model))
             : fmt::format("'{}' is not a model reference: {}", ShownReference(model), kForms));
}

}  // namespace

Result<ModelReference> ModelReference::Parse(std::string_view model, std::string_view revision) {
  if (model.empty())
    return Fail(Code::kInvalidArgument, fmt::format("no model is named: {}", kForms));
  if (model.size() > kMaxModelSize)
    return Fail(Code::kInvalidArgument,
                fmt::format("the model reference '{}' has {} bytes: at most {} are read",
                            Printable(ShownReference(model), 60), model.size(), kMaxModelSize));
  ModelReference reference = TRY(ParseUri(model));
  if (!revision.empty() && !reference.HasRevisions()) {
    return Fail(Code::kInvalidArgument,
                fmt::format("revision '{}': {} models have no revisions, leave it out",
                            Printable(revision), reference.Scheme()));
  }
  if (!revision.empty() && !reference.revision.empty() && reference.revision != revision) {
    return Fail(Code::kInvalidArgument,
                fmt::format("revision '{}' contradicts the one in '{}': give one of them",
                            Printable(revision), ShownReference(model)));
  }
  if (!revision.empty()) reference.revision = revision;
  TRY(CheckRevision(reference));
  return reference;
}

}  // namespace weighhouse
