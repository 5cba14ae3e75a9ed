#include "cache-daemon/fill/file_preparation.h"

#include <fmt/format.h>

#include "base/fault.h"
#include "base/log.h"
#include "cache-daemon/source/local_file.h"

namespace weighhouse::fill {
namespace {

Result<source::FileLocation> Locate(const FillContext& context, const FileAskers::Asker& asker) {
  const FillRequest& request = *asker.request;
  return request.source->Locate(request.reference, request.listing, asker.file, request.credentials,
                                context.stop.get_token());
}

/// Takes what it can of a local file without copying it. What is there then is hashed as any other
/// bytes are: from our own file.
Result<> ShareBlocks(const ListedFile& file, PreparedFile& prepared) {
  if (!prepared.location.url.starts_with("file://")) return {};
  source::LocalFile local = TRY(source::OpenLocalFile(source::LocalPathOf(prepared.location.url)));
  if (local.size != file.size) return {};  // its transfer says what is wrong
  Bytes shared = TRY(prepared.ingest->ShareBlocks(local.fd.get()));
  if (shared == 0) return {};
  LogRepeated(LogLevel::kInfo,
              fmt::format("fill {}: shares the blocks of {} with the local file", file.path,
                          FormatBytes(shared)),
              {{"file", file.path}, {"bytes", shared}});
  return {};
}

}  // namespace

Result<PreparedFile> PrepareFile(const FillContext& context, const FileAskers::Asker& asker,
                                 const std::string& ingest_id, Want want) {
  LogScope scope(asker.request->log);
  PreparedFile prepared;
  prepared.location = TRY(Locate(context, asker));
  prepared.location.size = asker.file.size;
  FaultPoint("fill.located");
  if (want == Want::kLocation) return prepared;
  prepared.ingest =
      TRY(context.parts.store.StartIngest(ingest_id, asker.file.identity, asker.file.size));
  TRY(ShareBlocks(asker.file, prepared));
  return prepared;
}

std::string TrustOnFirstUse(const ListedFile& file, const source::FileLocation& location) {
  const std::optional<ContentChecksum>& checksum = location.checksum;
  bool has_digest = file.identity.kind != FileIdentity::Kind::kVersionToken ||
                    location.enclosure ||  // whose digest is checked
                    (checksum && checksum->kind == ContentChecksum::Kind::kSha256);
  if (has_digest) return "";
  std::string but = checksum ? fmt::format(", only a {}", ChecksumKindName(checksum->kind)) : "";
  return fmt::format(
      "its source gives no digest of it{}: its sha256 is what comes now (trust on first use)", but);
}

ContentClaims ClaimsOf(const ListedFile& file, const source::FileLocation& location) {
  std::string trust = TrustOnFirstUse(file, location);
  if (!trust.empty()) {
    LogRepeated(LogLevel::kInfo, fmt::format("fill {}: {}", file.path, trust),
                {{"file", file.path}});
  }
  return {.identity = file.identity, .size = file.size, .checksum = location.checksum};
}

Result<> ConfirmVersion(const FillContext& context, const FileAskers::Asker& asker) {
  if (asker.file.identity.kind != FileIdentity::Kind::kVersionToken) return {};
  LogScope scope(asker.request->log);
  Result<source::FileLocation> location = Locate(context, asker);
  if (!location) return std::unexpected(std::move(location).error());
  return {};
}

}  // namespace weighhouse::fill
