#include "base/oci_reference.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/shown_reference.h"
#include "base/text.h"

namespace weighhouse {
namespace {

constexpr std::string_view kOciForm =
    "give oci://registry[:port]/repository[:tag|@sha256:<64 hex digits>]";

/// A registry's host, with its port if one is given. In brackets: an IPv6 address.
bool IsRegistryHost(std::string_view host) {
  size_t end_of_address = host.starts_with('[') ? host.find(']') : 0;
  if (end_of_address == std::string_view::npos) return false;
  size_t colon = host.find(':', end_of_address);
  std::string_view name = host.substr(0, colon);
  constexpr std::string_view kDigits = "0123456789";
  if (colon != std::string_view::npos) {
    std::string_view port = host.substr(colon + 1);
    bool number = !port.empty() && port.size() <= 5;
    if (!number || port.find_first_not_of(kDigits) != std::string_view::npos) return false;
  }
  if (name.starts_with('[')) {
    std::string_view address = name.substr(1, name.size() - 2);
    return name.ends_with(']') && address.contains(':') &&
           address.find_first_not_of("0123456789abcdef:.") == std::string_view::npos;
  }
  constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-.";
  return !name.empty() && name.size() <= 253 && !name.starts_with('.') && !name.ends_with('.') &&
         !name.contains("..") && name.find_first_not_of(kNameCharacters) == std::string_view::npos;
}

/// distribution-spec's <name>: parts of lower-case letters and digits, within them `.`, `_`, `__`
/// or any number of `-` between two of those.
bool IsRegistryRepository(std::string_view repository) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (repository.empty() || repository.size() > 255) return false;
  bool after_plain = false;
  for (size_t i = 0; i < repository.size(); ++i) {
    if (plain(repository[i])) {
      after_plain = true;
      continue;
    }
    size_t end = repository.find_first_not_of(repository[i], i);
    size_t run = std::min(end, repository.size()) - i;
    char c = repository[i];
    bool separates = c == '-' || ((c == '.' || c == '/') && run == 1) || (c == '_' && run <= 2);
    if (!separates || !after_plain || end == std::string_view::npos) return false;
    after_plain = false;
    i = end - 1;
  }
  return after_plain;
}

/// distribution-spec's <reference>, if it is a tag.
bool IsTag(std::string_view text) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, allowed) &&
         text.front() != '.' && text.front() != '-';
}

}  // namespace

Result<ModelReference> ParseOciReference(std::string_view model) {
  ModelReference reference;
  std::string_view rest = model.substr(std::string_view("oci://").size());
  size_t slash = rest.find('/');
  std::string host = ToLower(rest.substr(0, slash));
  std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  size_t mark = path.find_first_of(":@");
  std::string_view repository = path.substr(0, mark);
  if (!IsRegistryHost(host) || !IsRegistryRepository(repository)) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' names no repository of a registry: {}",
                                                    ShownReference(model), kOciForm));
  }
  reference.uri = fmt::format("oci://{}/{}", host, repository);
  if (mark == std::string_view::npos) return reference;
  std::string_view name = path.substr(mark + 1);
  size_t digest = path[mark] == ':' ? name.find('@') : std::string_view::npos;
  bool good_tag = digest == std::string_view::npos || IsTag(name.substr(0, digest));
  if (digest != std::string_view::npos) name.remove_prefix(digest + 1);
  if (!good_tag || name.empty()) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' ends with an empty or broken tag: {}",
                                                    ShownReference(model), kOciForm));
  }
  reference.revision = name;
  return reference;
}

Result<> CheckOciRevision(std::string_view revision) {
  if (revision.empty() || IsTag(revision) || IsManifestDigest(revision)) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("revision '{}' is neither a tag nor a sha256 digest: {}",
                          Printable(revision), kOciForm));
}

}  // namespace weighhouse
