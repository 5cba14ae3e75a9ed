#include "cache-daemon/fill/file_preparation.h"

#include <spdlog/spdlog.h>

#include "base/fault.h"

namespace weighhouse::fill {
namespace {

Result<source::FileLocation> Locate(const FillContext& context, const FileAskers::Asker& asker) {
  const FillRequest& request = *asker.request;
  return request.source->Locate(request.reference, request.listing, asker.file, request.credentials,
                                context.stop.get_token());
}

}  // namespace

Result<PreparedFile> PrepareFile(const FillContext& context, const FileAskers::Asker& asker,
                                 const std::string& ingest_id, Want want) {
  PreparedFile prepared;
  prepared.location = TRY(Locate(context, asker));
  prepared.location.size = asker.file.size;
  FaultPoint("fill.located");
  if (want == Want::kLocation) return prepared;
  prepared.ingest =
      TRY(context.parts.store.StartIngest(ingest_id, asker.file.identity, asker.file.size));
  return prepared;
}

ContentClaims ClaimsOf(const ListedFile& file, const source::FileLocation& location) {
  bool vouched =
      file.identity.kind != FileIdentity::Kind::kVersionToken || location.checksum.has_value();
  if (!vouched) {
    spdlog::info(
        "fill {}: its source gives no digest of it: its sha256 is what comes now (trust on "
        "first use)",
        file.path);
  }
  return {.identity = file.identity, .size = file.size, .checksum = location.checksum};
}

Result<> ConfirmVersion(const FillContext& context, const FileAskers::Asker& asker) {
  if (asker.file.identity.kind != FileIdentity::Kind::kVersionToken) return {};
  Result<source::FileLocation> location = Locate(context, asker);
  if (!location) return std::unexpected(std::move(location).error());
  return {};
}

}  // namespace weighhouse::fill
