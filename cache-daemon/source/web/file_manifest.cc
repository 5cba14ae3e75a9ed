#include "cache-daemon/source/web/file_manifest.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/json_text.h"

namespace weighhouse::source {
namespace {

using ManifestJson = nlohmann::json;
using ManifestEvent = nlohmann::json::parse_event_t;

std::unexpected<Error> BadManifest(std::string_view what) {
  return Fail(Code::kInvalidArgument,
              fmt::format("the manifest {}: give {{\"files\": [{{\"path\": …, \"sha256\": …, "
                          "\"size\": …, \"url\": …}}]}}, size and url where they are known",
                          what));
}

Result<ManifestEntry> ReadManifestEntry(const ManifestJson& entry, size_t number) {
  ManifestEntry read{
      .path = TextAt(entry, "path"), .url = TextAt(entry, "url"), .size = SizeAt(entry, "size")};
  std::string name = fmt::format("has as entry {} '{}'", number, Printable(read.path));
  if (read.path.empty()) return BadManifest(name + ", without a path");
  TRY(CheckPath(read.path));
  std::string sha256 = ToLower(TextAt(entry, "sha256"));
  if (!IsHex(sha256, 2 * Digest::kSize)) return BadManifest(name + ", without a sha256 in hex");
  read.sha256 = TRY(Digest::FromHex(sha256));
  if (entry.contains("size") && !read.size) return BadManifest(name + ", with a size that is none");
  if (entry.contains("url") && read.url.empty()) {
    return BadManifest(name + ", with a url that is none");
  }
  return read;
}

/// Takes the entries one by one as they are parsed.
class ManifestReader {
 public:
  /// The parser's callback: true keeps what was just read. Depths: 0 the document, 1 its keys and
  /// values, 2 the files, 3 their keys and values.
  bool OnEvent(int depth, ManifestEvent event, ManifestJson& parsed) {
    switch (event) {
      case ManifestEvent::key:
        return OnKey(depth, parsed);
      case ManifestEvent::array_start:
        has_files_ = has_files_ || (depth == 1 && in_files_);
        return depth == 1 && in_files_;
      case ManifestEvent::array_end:
        if (depth == 1) in_files_ = false;
        return depth <= 1;
      case ManifestEvent::object_start:
        return depth == 0 || (depth == 2 && in_files_);
      case ManifestEvent::object_end:
        if (depth == 2) TakeEntry(parsed);
        return depth == 0;
      default:
        if (depth == 2 && in_files_) Refuse(BadManifest("has an entry that is no object").error());
        return depth == 3;
    }
  }
  bool has_files() const { return has_files_; }
  Result<std::vector<ManifestEntry>> Take() {
    if (failure_) return std::unexpected(*std::move(failure_));
    return std::move(entries_);
  }

 private:
  bool OnKey(int depth, const ManifestJson& key) {
    constexpr std::array kKeys = {"path", "url", "size", "sha256"};
    const std::string* name = key.get_ptr<const std::string*>();
    if (name == nullptr) return false;
    if (depth == 1) in_files_ = *name == "files";
    if (depth == 1) return in_files_;
    return depth == 3 && std::ranges::find(kKeys, *name) != kKeys.end();
  }

  void TakeEntry(const ManifestJson& entry) {
    if (failure_) return;
    if (entries_.size() >= kMaxFiles) {
      return Refuse({Code::kInvalidArgument,
                     fmt::format("the manifest lists over {} files: at most that many are served",
                                 kMaxFiles)});
    }
    Result<ManifestEntry> read = ReadManifestEntry(entry, entries_.size() + 1);
    if (!read) return Refuse(std::move(read).error());
    entries_.push_back(*std::move(read));
  }

  void Refuse(Error error) {
    if (!failure_) failure_ = std::move(error);
  }

  std::vector<ManifestEntry> entries_;
  std::optional<Error> failure_;
  bool in_files_ = false;
  bool has_files_ = false;
};

}  // namespace

Result<std::vector<ManifestEntry>> ParseManifest(std::string_view json) {
  if (IsTooDeep(json)) return BadManifest("is nested too deep");
  ManifestReader reader;
  ManifestJson rest = ManifestJson::parse(
      json,
      [&](int depth, ManifestEvent event, ManifestJson& parsed) {
        return reader.OnEvent(depth, event, parsed);
      },
      /*allow_exceptions=*/false);
  if (rest.is_discarded() && !reader.has_files()) {
    return BadManifest(fmt::format("is no JSON, it begins '{}'", Printable(Trim(json), 60)));
  }
  if (rest.is_discarded()) return BadManifest("is broken JSON");
  if (!reader.has_files()) return BadManifest("has no list of files");
  return reader.Take();
}

}  // namespace weighhouse::source
