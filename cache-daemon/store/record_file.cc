#include "cache-daemon/store/record_file.h"

#include <utility>

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/store/durable_file.h"

namespace weighhouse::store {
namespace {

// A listing of a million files would have this size.
constexpr Bytes kMaxRecordSize = 512 * kMiB;

}  // namespace

Result<> WriteSnapshotRecord(io::Filesystem& filesystem, const RootLayout& layout,
                             const SnapshotRecord& record) {
  FaultPoint("snapshot.before_record");
  TRY(WriteDurably(filesystem, layout.SnapshotRecord(record.snapshot.id), SnapshotToJson(record),
                   {.written = "snapshot.record_written", .renamed = "snapshot.record_renamed"},
                   record.snapshot.last_used));
  FaultPoint("snapshot.recorded");
  return {};
}

Result<SnapshotRecord> ReadSnapshotRecord(io::Filesystem& filesystem, const RootLayout& layout,
                                          const std::string& id) {
  std::string path = layout.SnapshotRecord(id);
  std::string json = TRY(filesystem.ReadFile(path, kMaxRecordSize));
  SnapshotRecord record = TRY(ParseSnapshotRecord(json, id));
  io::FileStatus status = TRY(filesystem.Status(path));
  record.snapshot.last_used = status.modified;
  // A complete record has folded its journal in; one that is still there was only not removed.
  if (record.snapshot.complete) return record;
  auto journal = filesystem.ReadFile(layout.SnapshotJournal(id), kMaxRecordSize);
  if (!journal.has_value() && journal.error().code == Code::kNotFound) return record;
  if (!journal.has_value()) return std::unexpected(std::move(journal).error());
  size_t ignored = ApplyJournal(*journal, record);
  if (ignored > 0)
    LogRepeated(LogLevel::kWarning, fmt::format("store: {}: {} torn lines ignored",
                                                layout.SnapshotJournal(id), ignored));
  return record;
}

bool IsDamage(Code code) {
  return code == Code::kDataLoss || code == Code::kNotFound || code == Code::kOutOfRange;
}

}  // namespace weighhouse::store
