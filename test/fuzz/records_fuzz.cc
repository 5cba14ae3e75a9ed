// The store's records, which a start reads: the first byte chooses the kind. Ids and checksums are
// made to fit, so that what is behind them is reached.

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cache-daemon/store/hold_book.h"
#include "cache-daemon/store/ingest_state.h"
#include "cache-daemon/store/json_fields.h"
#include "cache-daemon/store/lease_book.h"
#include "cache-daemon/store/reference_book.h"
#include "cache-daemon/store/scrub_state.h"
#include "cache-daemon/store/snapshot_record.h"
#include "cache-daemon/store/volume_book.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::store {
namespace {

/// What was read is written so that it reads the same again.
template <class Parse, class Write>
void CheckRoundTrip(std::string_view json, const std::string& id, Parse parse, Write write) {
  auto record = parse(json, id);
  if (!record) return;
  std::string text = write(*record);
  auto again = parse(text, id);
  CHECK(again && write(*again) == text);
}

std::string FieldOf(std::string_view json, const char* name) {
  Result<nlohmann::json> object = ParseObject(json);
  return object ? StringField(*object, name).value_or("") : "";
}

/// The id that the files of a snapshot's record give, as far as they can be read.
std::string SnapshotIdOf(std::string_view json) {
  Result<nlohmann::json> object = ParseObject(json);
  if (!object) return "";
  Listing listing{.origin = StringField(*object, "origin").value_or(""),
                  .revision = StringField(*object, "revision").value_or("")};
  const nlohmann::json* files = ArrayField(*object, "files");
  if (files == nullptr) return "";
  for (const nlohmann::json& each : *files) {
    if (!each.is_object() || !each.contains("identity")) return "";
    auto kind = ParseIdentityKind(StringField(each["identity"], "kind").value_or(""));
    if (!kind) return "";
    listing.files.push_back(
        {.path = StringField(each, "path").value_or(""),
         .size = NumberField(each, "size").value_or(0),
         .identity = {.kind = *kind,
                      .value = StringField(each["identity"], "value").value_or("")}});
  }
  return listing.SnapshotId();
}

void CheckSnapshot(std::string_view json) {
  const std::string id = SnapshotIdOf(json);
  Result<SnapshotRecord> record = ParseSnapshotRecord(json, id);
  if (!record) return;
  CheckRoundTrip(json, id, ParseSnapshotRecord, SnapshotToJson);
  CHECK(record->borrowed.size() == record->snapshot.files.size());
  for (const SnapshotFile& file : record->snapshot.files) {
    CHECK(!file.listed.path.starts_with('/') && !file.listed.path.contains('\0'));
    CHECK(!("/" + file.listed.path + "/").contains("/../"));
    CHECK(file.blob || !record->snapshot.complete);
  }
  for (const TreeRecord& tree : record->trees) {
    CHECK(!tree.path.starts_with('/') && !("/" + tree.path + "/").contains("/../"));
  }
  // A journal may be anything too.
  ApplyJournal(json, *record);
}

void CheckIngest(std::string_view body) {
  std::string text(body);
  text += Digest::Of(body).Hex() + "\n";
  Result<IngestState> state = ParseIngestState(text);
  if (!state) return;
  Bytes last = 0;
  for (const ByteRange& range : state->durable) {
    CHECK(range.begin >= last && range.begin < range.end && range.end <= state->content.size);
    last = range.end;
  }
  Result<IngestState> again = ParseIngestState(IngestStateToText(*state));
  CHECK(again && again->durable == state->durable && again->content == state->content);
}

void CheckScrub(std::string_view json) {
  Result<ScrubState> state = ParseScrubState(json);
  if (!state) return;
  std::string text = ScrubStateToJson(*state);
  Result<ScrubState> again = ParseScrubState(text);
  CHECK(again && ScrubStateToJson(*again) == text);
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(records, bytes) {
  std::string_view json = bytes;
  const std::string id(64, 'a');
  switch (fuzz::TakeByte(json)) {
    case 's':
      return CheckSnapshot(json);
    case 'l':
      return CheckRoundTrip(json, id, ParseLease, LeaseToJson);
    case 'h':
      return CheckRoundTrip(json, VolumeKey(FieldOf(json, "volume_id")), ParseHold, HoldToJson);
    case 'v':
      return CheckRoundTrip(json, VolumeKey(FieldOf(json, "volume_id")), ParseVolume, VolumeToJson);
    case 'r':
      return CheckRoundTrip(json, id, ParseReference, ReferenceToJson);
    case 'i':
      return CheckIngest(json);
    default:
      return CheckScrub(json);
  }
}

}  // namespace weighhouse::store
