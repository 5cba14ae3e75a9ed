#include "cache-daemon/source/hub_listing.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/json_text.h"

namespace weighhouse::source {
namespace {

using Json = nlohmann::json;
using Event = nlohmann::json::parse_event_t;

/// Parses `json`; discarded if it is none. Never throws. `filter` returns false for what shall not
/// be kept.
Json Parse(std::string_view json, const Json::parser_callback_t& filter) {
  if (IsTooDeep(json)) return Json(Json::value_t::discarded);
  return Json::parse(json, filter, /*allow_exceptions=*/false);
}

std::unexpected<Error> BadEntry(const std::string& path, std::string_view what) {
  return Fail(Code::kInvalidArgument,
              fmt::format("the Hub lists '{}' {}: refused", Printable(path), what));
}

/// The file that one `"type": "file"` entry describes.
Result<ListedFile> ReadFileEntry(const Json& entry) {
  ListedFile file{.path = TextAt(entry, "path")};
  if (file.path.empty()) return BadEntry(file.path, "as a file without a path");
  auto size = SizeAt(entry, "size");
  if (!size) return BadEntry(file.path, "without a size");
  file.size = *size;
  auto lfs = entry.find("lfs");
  if (lfs == entry.end() || !lfs->is_object()) {
    file.identity = {FileIdentity::Kind::kGitSha1, TextAt(entry, "oid")};
    if (!IsHex(file.identity.value, 40)) return BadEntry(file.path, "without a git blob id");
    return file;
  }
  std::string oid = TextAt(*lfs, "oid");
  constexpr std::string_view kPrefix = "sha256:";
  if (oid.starts_with(kPrefix)) oid.erase(0, kPrefix.size());
  file.identity = {FileIdentity::Kind::kSha256, oid};
  if (!IsHex(oid, 64)) return BadEntry(file.path, "without a sha256");
  auto lfs_size = SizeAt(*lfs, "size");
  if (lfs_size && *lfs_size != file.size) {
    return BadEntry(file.path, fmt::format("with two sizes, {} and {}", file.size, *lfs_size));
  }
  return file;
}

/// Reads a page as it is parsed, an entry at a time: a page of 64 MiB as a whole would need many
/// times as much.
class TreePageReader {
 public:
  explicit TreePageReader(std::vector<ListedFile>& files) : files_(files) {}

  /// The parser's callback: true keeps what was just read.
  bool OnEvent(int depth, Event event, Json& parsed) {
    switch (event) {
      case Event::array_start:
        if (depth == 0) is_array_ = true;
        return depth == 0;
      case Event::object_start:
        return is_array_ && depth <= 2;
      case Event::key:
        return Wanted(depth, parsed);
      case Event::object_end:
        if (depth == 1) TakeEntry(parsed);
        return depth > 1;
      default:
        return depth > 1;
    }
  }
  bool is_array() const { return is_array_; }
  Result<> TakeOutcome() { return std::move(outcome_); }

 private:
  static bool Wanted(int depth, const Json& key) {
    constexpr std::array kEntryKeys = {"type", "path", "size", "oid", "lfs"};
    constexpr std::array kLfsKeys = {"oid", "size"};
    const std::string* name = key.get_ptr<const std::string*>();
    if (name == nullptr) return false;
    if (depth == 2) return std::ranges::find(kEntryKeys, *name) != kEntryKeys.end();
    return depth == 3 && std::ranges::find(kLfsKeys, *name) != kLfsKeys.end();
  }

  void TakeEntry(const Json& entry) {
    if (!outcome_ || TextAt(entry, "type") != "file") return;
    Result<ListedFile> file = ReadFileEntry(entry);
    if (!file) {
      outcome_ = std::unexpected(std::move(file).error());
    } else if (files_.size() >= kMaxFiles) {
      outcome_ =
          Fail(Code::kInvalidArgument,
               fmt::format("the Hub lists over {} files: at most that many are served", kMaxFiles));
    } else {
      files_.push_back(std::move(file).value());
    }
  }

  std::vector<ListedFile>& files_;
  bool is_array_ = false;
  Result<> outcome_;
};

std::unexpected<Error> NotTheHub(std::string_view json) {
  return Fail(
      Code::kUnavailable,
      fmt::format("the answer is not the Hub's JSON, it begins '{}': is a proxy in between, or "
                  "is the endpoint wrong?",
                  Printable(Trim(json), 60)));
}

}  // namespace

Result<HubRevision> ParseHubRevision(std::string_view json) {
  // The answer also lists every file, which the tree says better.
  Json info = Parse(json, [](int depth, Event event, Json& parsed) {
    if (event == Event::array_start) return false;
    if (event != Event::key || depth != 1) return depth <= 1;
    return parsed == "sha" || parsed == "gated";
  });
  if (!info.is_object()) return NotTheHub(json);
  HubRevision revision{.commit = TextAt(info, "sha")};
  if (!IsCommitId(revision.commit)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("the Hub names no commit, but '{}'", Printable(revision.commit, 60)));
  }
  auto gated = info.find("gated");
  revision.may_be_gated = gated == info.end() || *gated != false;
  return revision;
}

Result<> AppendHubTreePage(std::string_view json, std::vector<ListedFile>& files) {
  TreePageReader reader(files);
  Json rest = Parse(json, [&](int depth, Event event, Json& parsed) {
    return reader.OnEvent(depth, event, parsed);
  });
  if (rest.is_discarded() || !reader.is_array()) return NotTheHub(json);
  return reader.TakeOutcome();
}

std::string HubErrorText(std::string_view json) {
  std::optional<Json> body = ParseObject(json);
  if (!body) return "";
  std::string text = TextAt(*body, "error");
  if (!text.empty()) return text;
  for (const char* key : {"error", "errors"}) {
    const Json* list = ValueAt(*body, key);
    if (list == nullptr || !list->is_array() || list->empty()) continue;
    const Json& first = list->front();
    if (const auto* plain = first.get_ptr<const std::string*>()) return *plain;
    return TextAt(first, "message");
  }
  return "";
}

}  // namespace weighhouse::source
