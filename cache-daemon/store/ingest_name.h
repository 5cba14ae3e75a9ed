#pragma once

#include <string>

#include "base/model.h"

namespace weighhouse::store {

/// The id of the ingest that brings `file` from `origin`: files with the same identity there are
/// fetched once, whoever asks. The origin is part of it, because a digest alone is no key to
/// another origin's bytes, staged ones included. `kPublicOrigins` instead of an origin: the ingest
/// of a file named by its sha256 that all who listed it without credentials share.
std::string IngestIdOf(const std::string& origin, const ListedFile& file);
inline constexpr char kPublicOrigins[] = "";

/// The ingest that a fill starts for a file, where none of the file is under way.
std::string FreshIngestFor(const std::string& origin, bool anonymous, const ListedFile& file);

}  // namespace weighhouse::store
