#include "cache-daemon/fill/file_preparation.h"

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

Result<> ConfirmVersion(const FillContext& context, const FileAskers::Asker& asker) {
  if (asker.file.identity.kind != FileIdentity::Kind::kVersionToken) return {};
  Result<source::FileLocation> location = Locate(context, asker);
  if (!location) return std::unexpected(std::move(location).error());
  return {};
}

}  // namespace weighhouse::fill
