#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/model.h"
#include "base/units.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

/// What an ingest brings. Other content never goes on with its bytes.
struct IngestContent {
  FileIdentity identity;
  Bytes size = 0;
  auto operator<=>(const IngestContent&) const = default;
};

/// What `ingests/<id>/state` says.
struct IngestState {
  IngestContent content;
  std::vector<ByteRange> durable;  ///< of `data`; sorted and disjoint
};

/// With a checksum in its last line: for content whose identity says nothing of its bytes, nobody
/// would notice later that a range is a lie.
std::string IngestStateToText(const IngestState& state);
/// Reads what IngestStateToText wrote. Tolerant of nothing: else kDataLoss says what is wrong.
Result<IngestState> ParseIngestState(std::string_view text);

/// Makes `state` what is on the disk, durably; a reader sees the old one or the new one.
Result<> WriteIngestState(io::Filesystem& filesystem, const RootLayout& layout,
                          const std::string& id, const IngestState& state);
/// kNotFound or kDataLoss: there is nothing that could be resumed.
Result<IngestState> ReadIngestState(io::Filesystem& filesystem, const RootLayout& layout,
                                    const std::string& id);

}  // namespace weighhouse::store
