#include "cache-daemon/store/layer_record.h"

#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cache-daemon/store/ingest_name.h"
#include "cache-daemon/store/json_fields.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {
namespace {

constexpr uint64_t kLayerVersion = 1;
constexpr size_t kDigits = 64;
constexpr size_t kLayerChecksumLine = kDigits + 1;  // and a line feed

std::unexpected<Error> DamagedLayer(std::string_view what) {
  return Fail(Code::kDataLoss, fmt::format("the field '{}' is missing or wrong", what));
}

std::string_view KindName(LayerEntry::Kind kind) {
  using enum LayerEntry::Kind;
  return kind == kFile ? "file" : kind == kWhiteout ? "whiteout" : "opaque";
}

std::optional<LayerEntry::Kind> ParseKind(std::string_view name) {
  using enum LayerEntry::Kind;
  for (LayerEntry::Kind kind : {kFile, kWhiteout, kOpaque}) {
    if (name == KindName(kind)) return kind;
  }
  return std::nullopt;
}

Result<LayerEntry> ParseEntry(const nlohmann::json& object) {
  if (!object.is_object()) return DamagedLayer("entries");
  auto kind_name = StringField(object, "kind");
  auto path = StringField(object, "path");
  auto size = NumberField(object, "size");
  auto kind = ParseKind(kind_name.value_or(""));
  if (!kind || !path || !size) return DamagedLayer("entries");
  bool everywhere = *kind == LayerEntry::Kind::kOpaque && path->empty();
  if (!everywhere && !IsSafeRelativePath(*path)) return DamagedLayer("path");
  return LayerEntry{.kind = *kind, .path = *std::move(path), .size = *size};
}

}  // namespace

std::string LayerRecordToText(const LayerRecord& record) {
  nlohmann::json entries = nlohmann::json::array();
  for (const LayerEntry& entry : record.entries) {
    entries.push_back({{"kind", KindName(entry.kind)}, {"path", entry.path}, {"size", entry.size}});
  }
  std::string text = ToText({{"version", kLayerVersion},
                             {"digest", record.digest},
                             {"diff_id", record.diff_id},
                             {"prefix", record.prefix},
                             {"entries", std::move(entries)}});
  return fmt::format("{}{}\n", text, Digest::Of(text).Hex());
}

Result<LayerRecord> ParseLayerRecord(std::string_view text) {
  if (text.size() < kLayerChecksumLine) return Fail(Code::kDataLoss, "it is cut off");
  std::string_view body = text.substr(0, text.size() - kLayerChecksumLine);
  if (text.substr(body.size()) != Digest::Of(body).Hex() + "\n") {
    return Fail(Code::kDataLoss, "its checksum is wrong");
  }
  nlohmann::json object = TRY(ParseObject(body));
  if (NumberField(object, "version") != kLayerVersion) return DamagedLayer("version");
  auto digest = StringField(object, "digest");
  auto diff_id = StringField(object, "diff_id");
  auto prefix = StringField(object, "prefix");
  const nlohmann::json* entries = ArrayField(object, "entries");
  bool named = digest && IsHex(*digest, kDigits) && diff_id && IsHex(*diff_id, kDigits);
  if (!named || !prefix) return DamagedLayer("digest");
  if (entries == nullptr) return DamagedLayer("entries");
  LayerRecord record{.digest = *digest, .diff_id = *diff_id, .prefix = *prefix};
  record.entries.reserve(entries->size());
  for (const nlohmann::json& each : *entries) {
    LayerEntry entry = TRY(ParseEntry(each));
    record.entries.push_back(std::move(entry));
  }
  return record;
}

std::string LayerRecordId(const LayerOrigin& origin, const std::string& digest,
                          const std::string& prefix) {
  std::string scope = origin.anonymous ? kPublicOrigins : origin.origin;
  return Digest::Of(fmt::format("{}\n{}\n{}", scope, digest, prefix)).Hex();
}

}  // namespace weighhouse::store
