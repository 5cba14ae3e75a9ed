#pragma once

#include <chrono>
#include <string>

#include "cli/paint.h"
#include "cli/progress_text.h"
#include "cli/table.h"
#include "proto/cache.pb.h"

/// How a snapshot reads in lists, for people.
namespace weighhouse::cli {

inline constexpr size_t kShownIdDigits = 12;

/// Not negative, whatever the clocks say.
std::chrono::seconds Since(int64_t unix_seconds);
std::chrono::seconds Until(int64_t unix_seconds);

/// What people know the snapshot as, without its revision.
std::string ModelName(const cache::v1::Snapshot& snapshot);
/// With the revision: hf://org/name@0123456789ab.
std::string NameAtRevision(const cache::v1::Snapshot& snapshot);
/// "complete, kept", "filling 12 %".
std::string StateText(const cache::v1::Snapshot& snapshot, const Paint& paint);
Progress ProgressOf(const cache::v1::Snapshot& snapshot);

enum class Ids { kShown, kLeftOut };
/// The table of `ls`, in the list's order; `most`: the first so many.
Table SnapshotTable(const cache::v1::ListResponse& list, size_t most, Ids ids, const Paint& paint);

}  // namespace weighhouse::cli
