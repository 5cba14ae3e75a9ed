#include "cache-daemon/store/ingest_state.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "cache-daemon/store/durable_file.h"
#include "cache-daemon/store/json_fields.h"

namespace weighhouse::store {
namespace {

constexpr uint64_t kVersion = 1;
// The ranges of a file are few: pieces arrive in order, but for a window.
constexpr Bytes kMaxStateSize = kMiB;
constexpr size_t kChecksumLine = 65;  // 64 hexadecimal digits and a line feed

std::unexpected<Error> Damaged(std::string_view what) {
  return Fail(Code::kDataLoss, fmt::format("the field '{}' is missing or wrong", what));
}

Result<IngestContent> ParseContent(const nlohmann::json& object) {
  auto kind_name = StringField(object, "identity_kind");
  auto value = StringField(object, "identity");
  auto size = NumberField(object, "size");
  if (!kind_name || !value || !size) return Damaged("identity");
  auto kind = ParseIdentityKind(*kind_name);
  if (!kind) return Damaged("identity_kind");
  return IngestContent{.identity = {.kind = *kind, .value = *value}, .size = *size};
}

Result<std::vector<ByteRange>> ParseRanges(const nlohmann::json& object, Bytes size) {
  const nlohmann::json* pairs = ArrayField(object, "durable");
  if (pairs == nullptr) return Damaged("durable");
  std::vector<ByteRange> ranges;
  Bytes last = 0;
  for (const nlohmann::json& pair : *pairs) {
    bool numbers = pair.is_array() && pair.size() == 2 && pair[0].is_number_unsigned() &&
                   pair[1].is_number_unsigned();
    if (!numbers) return Damaged("durable");
    ByteRange range{.begin = pair[0].get<Bytes>(), .end = pair[1].get<Bytes>()};
    if (range.begin < last || range.begin >= range.end || range.end > size) {
      return Damaged("durable");
    }
    last = range.end;
    ranges.push_back(range);
  }
  return ranges;
}

}  // namespace

std::string IngestStateToText(const IngestState& state) {
  nlohmann::json pairs = nlohmann::json::array();
  for (const ByteRange& range : state.durable) pairs.push_back({range.begin, range.end});
  std::string text = ToText({{"version", kVersion},
                             {"identity_kind", IdentityKindName(state.content.identity.kind)},
                             {"identity", state.content.identity.value},
                             {"size", state.content.size},
                             {"durable", std::move(pairs)}});
  return fmt::format("{}{}\n", text, Digest::Of(text).Hex());
}

Result<IngestState> ParseIngestState(std::string_view text) {
  if (text.size() < kChecksumLine) return Fail(Code::kDataLoss, "it is cut off");
  std::string_view body = text.substr(0, text.size() - kChecksumLine);
  if (text.substr(body.size()) != Digest::Of(body).Hex() + "\n") {
    return Fail(Code::kDataLoss, "its checksum is wrong");
  }
  nlohmann::json object = TRY(ParseObject(body));
  if (NumberField(object, "version") != kVersion) return Damaged("version");
  IngestState state;
  state.content = TRY(ParseContent(object));
  state.durable = TRY(ParseRanges(object, state.content.size));
  return state;
}

Result<> WriteIngestState(io::Filesystem& filesystem, const RootLayout& layout,
                          const std::string& id, const IngestState& state) {
  return WriteDurably(filesystem, layout.IngestState(id), IngestStateToText(state),
                      {.written = "ingest.state_written", .renamed = "ingest.state_renamed"});
}

Result<IngestState> ReadIngestState(io::Filesystem& filesystem, const RootLayout& layout,
                                    const std::string& id) {
  std::string text = TRY(filesystem.ReadFile(layout.IngestState(id), kMaxStateSize));
  IngestState state = TRY(ParseIngestState(text));
  io::FileStatus data = TRY(filesystem.Status(layout.IngestData(id)));
  if (data.kind == io::EntryKind::kFile && data.size >= state.content.size) return state;
  return Fail(Code::kDataLoss, fmt::format("{}: {} bytes are there of {}", layout.IngestData(id),
                                           data.size, state.content.size));
}

}  // namespace weighhouse::store
