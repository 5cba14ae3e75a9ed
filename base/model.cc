#include "base/model.h"

#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse {
namespace {

/// Feeds fields to a hasher such that different lists of fields never give the same bytes.
class FieldHasher {
 public:
  void Add(std::string_view field) {
    hasher_.Update(fmt::format("{}:", field.size()));
    hasher_.Update(field);
  }
  std::string FinishHex() { return hasher_.FinishHex(); }

 private:
  Hasher hasher_{Hasher::Algorithm::kSha256};
};

void AddPatterns(FieldHasher& hasher, const std::optional<std::vector<std::string>>& patterns) {
  hasher.Add(patterns ? fmt::format("{}", patterns->size()) : "default");
  for (const std::string& pattern : patterns.value_or(std::vector<std::string>{})) {
    hasher.Add(pattern);
  }
}

}  // namespace

std::string_view LayoutName(Layout layout) { return layout == Layout::kHub ? "hub" : "files"; }

Result<Layout> ParseLayout(std::string_view name) {
  if (name == "files") return Layout::kFiles;
  if (name == "hub") return Layout::kHub;
  return Fail(Code::kInvalidArgument,
              fmt::format("layout '{}' is not known: give files or hub", Printable(name)));
}

std::string_view ModelReference::Scheme() const {
  return std::string_view(uri).substr(0, uri.find("://"));
}

bool ModelReference::HasRevisions() const { return HasCommits() || Scheme() == "modelscope"; }

bool ModelReference::HasCommits() const { return Scheme() == "hf" || Scheme() == "oci"; }

bool ModelReference::IsCommit(std::string_view text) const {
  if (Scheme() == "oci") return IsManifestDigest(text);
  return Scheme() == "hf" && IsCommitId(text);
}

std::string ModelReference::RevisionOrDefault() const {
  if (!revision.empty()) return revision;
  if (Scheme() == "oci") return "latest";
  if (Scheme() == "modelscope") return "master";
  return Scheme() == "hf" ? "main" : "";
}

ModelReference ModelReference::AtCommit() const {
  ModelReference asked = *this;
  if (!commit.empty()) asked.revision = std::exchange(asked.commit, "");
  return asked;
}

std::string ModelReference::ToString() const {
  size_t query = uri.find('?');
  // In a file's name it is a character as any other.
  if (query != std::string::npos && Scheme() != "file") return uri.substr(0, query) + "?…";
  if (revision.empty()) return uri;
  bool is_tag = Scheme() == "oci" && !IsManifestDigest(revision);
  return fmt::format("{}{}{}", uri, is_tag ? ':' : '@', revision);
}

bool ModelReference::Covers(std::string_view shown) const {
  const std::string name = ToString();
  if (shown == name) return true;
  // Elsewhere `@` and `:` are a part of the name.
  if (!HasRevisions() || !revision.empty() || !shown.starts_with(name)) return false;
  return shown[name.size()] == '@' || shown[name.size()] == ':';
}

std::string ModelReference::Fingerprint() const {
  FieldHasher hasher;
  hasher.Add(uri);
  hasher.Add(revision);
  AddPatterns(hasher, allow_patterns);
  AddPatterns(hasher, ignore_patterns);
  hasher.Add(expected_sha256 ? expected_sha256->Hex() : "");
  // Without one it is what earlier versions recorded.
  if (!commit.empty()) hasher.Add(commit);
  return hasher.FinishHex();
}

bool IsCommitId(std::string_view revision) { return IsHex(revision, 40); }

bool IsManifestDigest(std::string_view revision) {
  constexpr std::string_view kAlgorithm = "sha256:";
  return revision.starts_with(kAlgorithm) && IsHex(revision.substr(kAlgorithm.size()), 64);
}

std::string Credentials::Text() const {
  std::string text;
  for (const auto& [name, value] : values) {
    text += fmt::format("{} {}{} {}", name.size(), name, value.size(), value);
  }
  return text;
}

std::string Credentials::First(std::initializer_list<std::string_view> keys) const {
  for (std::string_view key : keys) {
    auto found = values.find(std::string(key));
    if (found == values.end()) continue;
    std::string_view value = Trim(found->second);
    if (!value.empty()) return std::string(value);
  }
  return "";
}

std::string_view IdentityKindName(FileIdentity::Kind kind) {
  switch (kind) {
    case FileIdentity::Kind::kSha256:
      return "sha256";
    case FileIdentity::Kind::kGitSha1:
      return "git-sha1";
    case FileIdentity::Kind::kVersionToken:
      return "version";
  }
  return "version";
}

std::optional<FileIdentity::Kind> ParseIdentityKind(std::string_view name) {
  using enum FileIdentity::Kind;
  for (FileIdentity::Kind kind : {kSha256, kGitSha1, kVersionToken}) {
    if (name == IdentityKindName(kind)) return kind;
  }
  return std::nullopt;
}

Bytes Listing::TotalBytes() const {
  return std::accumulate(files.begin(), files.end(), Bytes{0},
                         [](Bytes sum, const ListedFile& file) { return sum + file.size; });
}

std::string Listing::SnapshotId() const {
  FieldHasher hasher;
  hasher.Add(origin);
  hasher.Add(revision);
  for (const ListedFile& file : files) {
    hasher.Add(file.path);
    hasher.Add(fmt::format("{}", file.size));
    hasher.Add(IdentityKindName(file.identity.kind));
    hasher.Add(file.identity.value);
  }
  for (const PackedLayer& layer : packed) {
    hasher.Add(layer.digest);
    hasher.Add(layer.diff_id);
    hasher.Add(layer.prefix);
  }
  return hasher.FinishHex();
}

}  // namespace weighhouse
