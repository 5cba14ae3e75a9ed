#include "cache-daemon/source/modelscope/scope_listing.h"

#include <algorithm>
#include <array>
#include <optional>
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
using ScopeEvent = nlohmann::json::parse_event_t;

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

/// Takes the entries one by one as they are parsed: the parser goes through all that it kept of a
/// list at the end of each.
class ScopeReader {
 public:
  /// The parser's callback: true keeps what was just read. Depths: 0 the answer, 1 its keys and
  /// values, 2 those of Data, 3 the files, 4 their keys and values.
  bool OnEvent(int depth, ScopeEvent event, ScopeJson& parsed) {
    switch (event) {
      case ScopeEvent::key:
        return OnKey(depth, parsed);
      case ScopeEvent::object_start:
        return depth == 0 || (depth == 1 && in_data_) || (depth == 3 && in_files_);
      case ScopeEvent::object_end:
        if (depth == 3 && in_files_) TakeEntry(parsed);
        return depth <= 1;
      case ScopeEvent::array_start:
        has_files_ = has_files_ || (depth == 2 && in_files_);
        return depth == 2 && in_files_;
      case ScopeEvent::array_end:
        if (depth == 2) in_files_ = false;
        return depth == 2;
      default:
        has_files_ = has_files_ || (depth == 2 && in_files_ && parsed.is_null());
        if (depth == 3 && in_files_) TakeEntry(parsed);
        return depth == 1 || depth == 4;
    }
  }
  bool has_files() const { return has_files_; }
  Result<ScopeFiles> Take() {
    if (failure_) return std::unexpected(*std::move(failure_));
    return std::move(files_);
  }

 private:
  bool OnKey(int depth, const ScopeJson& key) {
    constexpr std::array kKeys = {"Path", "Type", "Size", "Sha256", "Revision"};
    const std::string* name = key.get_ptr<const std::string*>();
    if (name == nullptr) return false;
    if (depth == 1) in_data_ = *name == "Data";
    if (depth == 1) return in_data_ || *name == "Code" || *name == "Message";
    if (depth == 2) in_files_ = in_data_ && *name == "Files";
    if (depth == 2) return in_files_;
    return depth == 4 && std::ranges::find(kKeys, *name) != kKeys.end();
  }

  void TakeEntry(const ScopeJson& entry) {
    if (failure_ || TextAt(entry, "Type") == "tree") return;
    std::string path = TextAt(entry, "Path");
    Result<ScopeFile> file = ReadScopeFile(path, entry);
    if (!file) {
      failure_ = std::move(file).error();
    } else if (files_.size() >= kMaxFiles) {
      failure_ = BadScopeEntry(path, fmt::format("after {} other files", kMaxFiles)).error();
    } else if (!files_.emplace(path, *std::move(file)).second) {
      failure_ = BadScopeEntry(path, "twice").error();
    }
  }

  ScopeFiles files_;
  std::optional<Error> failure_;
  bool in_data_ = false;
  bool in_files_ = false;
  bool has_files_ = false;
};

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
  ScopeReader reader;
  ScopeJson answer(ScopeJson::value_t::discarded);
  if (!IsTooDeep(json)) {
    answer = ScopeJson::parse(
        json,
        [&](int depth, ScopeEvent event, ScopeJson& parsed) {
          return reader.OnEvent(depth, event, parsed);
        },
        /*allow_exceptions=*/false);
  }
  std::optional<Bytes> code = SizeAt(answer, "Code");
  if (answer.is_object() && code && code != 200) {
    return Fail(Code::kNotFound, fmt::format("ModelScope answers with code {}: {}", *code,
                                             Printable(TextAt(answer, "Message"))));
  }
  if (answer.is_discarded() || !reader.has_files()) {
    return Fail(Code::kUnavailable,
                fmt::format("the answer is not ModelScope's JSON, it begins '{}': is a proxy in "
                            "between, or is the endpoint wrong?",
                            Printable(Trim(json), 60)));
  }
  return reader.Take();
}

}  // namespace weighhouse::source
