#include "cache-daemon/source/modelscope/scope_listing.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/json_text.h"
#include "cache-daemon/source/object_listing.h"

namespace weighhouse::source {
namespace {

using ScopeJson = nlohmann::json;

/// Parses what is read of an answer; discarded if it is no JSON.
ScopeJson ParseScopeJson(std::string_view json) {
  constexpr std::array kKeys = {"Code", "Message", "Data",   "Files",   "Path",
                                "Type", "Size",    "Sha256", "Revision"};
  if (IsTooDeep(json)) return ScopeJson(ScopeJson::value_t::discarded);
  auto keep = [&](int, ScopeJson::parse_event_t event, ScopeJson& parsed) {
    if (event != ScopeJson::parse_event_t::key) return true;
    const std::string* name = parsed.get_ptr<const std::string*>();
    return name != nullptr && std::ranges::find(kKeys, *name) != kKeys.end();
  };
  return ScopeJson::parse(json, keep, /*allow_exceptions=*/false);
}

std::unexpected<Error> BadScopeEntry(const std::string& path, std::string_view what) {
  return Fail(Code::kInvalidArgument,
              fmt::format("ModelScope lists '{}' {}: refused", Printable(path), what));
}

Result<ScopeFile> ReadScopeFile(const std::string& path, const ScopeJson& entry) {
  if (path.empty()) return BadScopeEntry(path, "as a file without a path");
  std::optional<Bytes> size = SizeAt(entry, "Size");
  if (!size) return BadScopeEntry(path, "without a size");
  ScopeFile file{.size = *size,
                 .sha256 = ToLower(TextAt(entry, "Sha256")),
                 .commit = TextAt(entry, "Revision")};
  if (!file.sha256.empty() && !IsHex(file.sha256, 64)) {
    return BadScopeEntry(path, "with a sha256 that is none");
  }
  if (!IsCommitId(file.commit)) file.commit.clear();
  if (file.sha256.empty() && file.commit.empty()) {
    return BadScopeEntry(path, "with neither a sha256 nor a commit");
  }
  return file;
}

}  // namespace

FileIdentity ScopeFile::Identity(std::string_view path) const {
  if (!sha256.empty()) return {FileIdentity::Kind::kSha256, sha256};
  return VersionIdentity(fmt::format("commit {} size {}", commit, size), path);
}

Bytes BytesOf(const ScopeFiles& files) {
  constexpr Bytes kNode = 64;  // about what a map adds to each
  Bytes bytes = 0;
  for (const auto& [path, file] : files) {
    bytes +=
        sizeof(path) + sizeof(file) + kNode + path.size() + file.sha256.size() + file.commit.size();
  }
  return bytes;
}

Result<ScopeFiles> ParseScopeListing(std::string_view json) {
  ScopeJson answer = ParseScopeJson(json);
  const ScopeJson* data = nullptr;
  if (answer.is_object() && answer.contains("Data")) data = &answer["Data"];
  const ScopeJson* list = nullptr;
  if (data != nullptr && data->is_object() && data->contains("Files")) list = &(*data)["Files"];
  std::optional<Bytes> code = SizeAt(answer, "Code");
  if (answer.is_object() && code && code != 200) {
    return Fail(Code::kNotFound, fmt::format("ModelScope answers with code {}: {}", *code,
                                             Printable(TextAt(answer, "Message"))));
  }
  if (list == nullptr || !(list->is_array() || list->is_null())) {
    return Fail(Code::kUnavailable,
                fmt::format("the answer is not ModelScope's JSON, it begins '{}': is a proxy in "
                            "between, or is the endpoint wrong?",
                            Printable(Trim(json), 60)));
  }
  ScopeFiles files;
  for (const ScopeJson& entry : *list) {
    if (TextAt(entry, "Type") == "tree") continue;
    std::string path = TextAt(entry, "Path");
    ScopeFile file = TRY(ReadScopeFile(path, entry));
    if (files.size() >= kMaxFiles) {
      return BadScopeEntry(path, fmt::format("after {} other files", kMaxFiles));
    }
    if (!files.emplace(path, std::move(file)).second) return BadScopeEntry(path, "twice");
  }
  return files;
}

}  // namespace weighhouse::source
