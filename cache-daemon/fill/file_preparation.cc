#include "cache-daemon/fill/file_preparation.h"

#include "base/fault.h"

namespace weighhouse::fill {

Result<PreparedFile> PrepareFile(const FillContext& context, const FileAskers::Asker& asker,
                                 const std::string& ingest_id, Want want) {
  const FillRequest& request = *asker.request;
  PreparedFile prepared;
  prepared.location = TRY(request.source->Locate(request.reference, request.listing, asker.file,
                                                 request.credentials, context.stop.get_token()));
  prepared.location.size = asker.file.size;
  FaultPoint("fill.located");
  if (want == Want::kLocation) return prepared;
  prepared.ingest =
      TRY(context.parts.store.StartIngest(ingest_id, asker.file.identity, asker.file.size));
  return prepared;
}

}  // namespace weighhouse::fill
