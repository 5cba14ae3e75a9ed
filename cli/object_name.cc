#include "cli/object_name.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxName = 240;
constexpr size_t kHashDigits = 8;
constexpr size_t kCommitDigits = 12;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsLabel(std::string_view text) {
  return !text.empty() && IsLowerOrDigit(text.front()) && IsLowerOrDigit(text.back()) &&
         std::ranges::all_of(text, [](char c) { return IsLowerOrDigit(c) || c == '-'; });
}

/// Appends `text` in the alphabet of labels.
void AppendWords(std::string& out, std::string_view text) {
  for (char c : text) {
    char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (IsLowerOrDigit(lower)) {
      out += lower;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
}

void Cut(std::string& text, size_t size) {
  text.resize(std::min(text.size(), size));
  while (text.ends_with('-')) text.pop_back();
}

std::string_view WithoutScheme(std::string_view uri) {
  std::string_view rest = uri.substr(uri.find("://") + 3);
  return rest.substr(0, rest.find('?'));  // which may be a signature
}

}  // namespace

bool IsObjectName(std::string_view name) {
  if (name.size() > kMaxName) return false;
  for (;;) {
    size_t dot = name.find('.');
    if (!IsLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool IsNamespaceName(std::string_view name) { return name.size() <= kMaxLabel && IsLabel(name); }

std::string ObjectNameOf(const ModelReference& model, std::string_view words,
                         std::string_view identity, bool exact) {
  std::string name;
  AppendWords(name, WithoutScheme(model.uri));
  std::string revision = model.RevisionOrDefault();
  if (IsManifestDigest(revision)) revision.erase(0, std::string_view("sha256:").size());
  if (model.IsCommit(model.revision)) revision.resize(kCommitDigits);
  if (!revision.empty() && revision != ModelReference{.uri = model.uri}.RevisionOrDefault()) {
    AppendWords(name, "-");
    AppendWords(name, revision);
  }
  Cut(name, name.size());
  bool nameless = name.empty();
  if (nameless) name = "model";
  name += words;
  if (!exact && !nameless && name.size() <= kMaxLabel) return name;
  Cut(name, kMaxLabel - kHashDigits - 1);
  return fmt::format("{}-{}", name, Digest::Of(identity).Hex().substr(0, kHashDigits));
}

}  // namespace weighhouse::cli
