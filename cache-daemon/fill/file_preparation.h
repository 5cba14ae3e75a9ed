#pragma once

#include <memory>
#include <string>

#include "cache-daemon/fill/file_askers.h"
#include "cache-daemon/fill/fill_context.h"

namespace weighhouse::fill {

/// What a file needs before its ranges can be fetched.
struct PreparedFile {
  source::FileLocation location;
  std::unique_ptr<store::Ingest> ingest;  ///< null where only the location was wanted
};

enum class Want { kLocation, kLocationAndIngest };

/// Asks `asker`'s source, with its rights, where the file is now, and opens its ingest. On a
/// worker: it blocks on network and disk. A local file's blocks are shared where they
/// can be. Errors: Source::Locate's, OpenLocalFile's, Store::StartIngest's, Ingest::ShareBlocks'.
Result<PreparedFile> PrepareFile(const FillContext& context, const FileAskers::Asker& asker,
                                 const std::string& ingest_id, Want want);

/// Why the file's first content is taken for the true one, where its source names none by a digest:
/// a CRC tells accidents, and anybody can make other bytes that have it. Empty: it does.
std::string TrustOnFirstUse(const ListedFile& file, const source::FileLocation& location);

/// What the file's bytes must be, by its listing and its location. Says TrustOnFirstUse in the log.
ContentClaims ClaimsOf(const ListedFile& file, const source::FileLocation& location);

/// Where only a version token tells the file's content apart: asks once more whether it is still
/// the version that was listed, because its bytes came in parts. kOutOfRange if not.
Result<> ConfirmVersion(const FillContext& context, const FileAskers::Asker& asker);

}  // namespace weighhouse::fill
