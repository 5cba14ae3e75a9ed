#pragma once

#include <optional>
#include <string>

#include "cache-daemon/source/source.h"
#include "cache-daemon/store/store.h"

namespace weighhouse {

// What a reference last meant is remembered for all who call the same model by that name. Where a
// caller's secret chooses the origin, such as an S3 service of its own, it isn't the same model:
// what it means there has a record of its own, so that nobody can take another's away.

/// What `model` last meant to who asks with such credentials; nothing: it isn't known.
std::optional<store::ReferenceRecord> FindMeaning(const store::Store& store,
                                                  const source::Source& source,
                                                  const ModelReference& model,
                                                  const Credentials& credentials);
/// From now on it means that snapshot, durably.
Result<> RecordMeaning(store::Store& store, const source::Source& source,
                       const ModelReference& model, const Credentials& credentials,
                       const std::string& snapshot_id);

}  // namespace weighhouse
