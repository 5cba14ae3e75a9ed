#pragma once

#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/snapshot_record.h"

namespace weighhouse::store {

/// Makes `record` what `snapshots/<id>.json` says, durably; a reader sees the old record or the new
/// one. The file's time is the snapshot's last use.
Result<> WriteSnapshotRecord(io::Filesystem& filesystem, const RootLayout& layout,
                             const SnapshotRecord& record);

/// Reads the record of `id` with its last use, and its journal if it fills. kDataLoss: it doesn't
/// parse.
Result<SnapshotRecord> ReadSnapshotRecord(io::Filesystem& filesystem, const RootLayout& layout,
                                          const std::string& id);

/// Reading a record ended so because of what it is: damaged, not there, or larger than any of its
/// kind. Any other error is of the moment, or of the disk: the record may be whole.
bool IsDamage(Code code);

}  // namespace weighhouse::store
