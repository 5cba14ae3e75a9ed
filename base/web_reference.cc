#include "base/web_reference.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/shown_reference.h"
#include "base/text.h"

namespace weighhouse {
namespace {

constexpr std::string_view kManifestMark = "#manifest";
constexpr std::string_view kSums = "SHA256SUMS";

/// The URL's path: without scheme, host, query and fragment.
std::string_view PathOf(std::string_view uri) {
  std::string_view rest = uri.substr(uri.find("://") + 3);
  rest = rest.substr(0, rest.find_first_of("?#"));
  return rest.substr(std::min(rest.find('/'), rest.size()));
}

Result<> ReadFragment(std::string_view model, std::string_view fragment,
                      ModelReference& reference) {
  constexpr std::string_view kSha256 = "sha256=";
  bool manifest = false;
  for (size_t begin = 0; begin <= fragment.size();) {
    size_t end = std::min(fragment.find('&', begin), fragment.size());
    std::string_view part = fragment.substr(begin, end - begin);
    begin = end + 1;
    if (part == kManifestMark.substr(1) && !manifest) {
      manifest = true;
      reference.uri += kManifestMark;
    } else if (part.starts_with(kSha256) && !reference.expected_sha256) {
      reference.expected_sha256 = TRY(Digest::FromHex(part.substr(kSha256.size())));
    } else {
      return Fail(Code::kInvalidArgument,
                  fmt::format("'{}': after '#' only manifest and sha256=<hex> are known, each once",
                              ShownReference(model)));
    }
  }
  return {};
}

}  // namespace

WebForm WebFormOf(std::string_view uri) {
  if (uri.ends_with(kManifestMark)) return WebForm::kManifest;
  return PathOf(uri).ends_with('/') ? WebForm::kDirectory : WebForm::kFile;
}

Result<ModelReference> ParseWebReference(std::string_view model) {
  size_t mark = model.find('#');
  ModelReference reference{.uri = std::string(model.substr(0, mark))};
  std::string_view path = PathOf(model);
  std::string_view host = model.substr(model.find("://") + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  // A backslash is read as a slash by some and as part of the host's name by others.
  bool printable =
      std::ranges::all_of(reference.uri, [](char c) { return c > 0x20 && c < 0x7F && c != '\\'; });
  if (!printable || host.empty() || host.contains('@') || path.empty()) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("'{}' names neither a file nor a directory: give https://host/path/file or "
                    "https://host/path/, percent-encoded, without user or password",
                    ShownReference(model)));
  }
  if (mark != std::string_view::npos) {
    TRY(ReadFragment(model, model.substr(mark + 1), reference));
  }
  if (path.ends_with('/') && WebFormOf(reference.uri) == WebForm::kManifest) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' ends like a directory, which has no manifest: name the manifest "
                            "itself, or leave #manifest out and the SHA256SUMS there counts",
                            ShownReference(model)));
  }
  if (path.substr(path.rfind('/') + 1) == kSums) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is a list of files: for the model that it lists give {}/",
                    ShownReference(model),
                    Printable(reference.uri.substr(0, reference.uri.rfind("/SHA256SUMS")))));
  }
  return reference;
}

std::string UriWithDigest(const ModelReference& reference) {
  if (!reference.expected_sha256) return reference.uri;
  return fmt::format("{}{}sha256={}", reference.uri, reference.uri.contains('#') ? '&' : '#',
                     reference.expected_sha256->Hex());
}

}  // namespace weighhouse
