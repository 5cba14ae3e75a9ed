#include "cache-daemon/engine/references.h"

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse {
namespace {

std::string KeyOf(const source::Source& source, const ModelReference& model,
                  const Credentials& credentials) {
  std::string key = model.Fingerprint();
  std::string origin = source.OriginFor(model, credentials);
  if (origin == source.OriginFor(model, {})) return key;
  return Digest::Of(fmt::format("{} {}", key, origin)).Hex();
}

}  // namespace

std::optional<store::ReferenceRecord> FindMeaning(const store::Store& store,
                                                  const source::Source& source,
                                                  const ModelReference& model,
                                                  const Credentials& credentials) {
  return store.FindReference(KeyOf(source, model, credentials));
}

Result<> RecordMeaning(store::Store& store, const source::Source& source,
                       const ModelReference& model, const Credentials& credentials,
                       const std::string& snapshot_id) {
  return store.RecordReference({.fingerprint = KeyOf(source, model, credentials),
                                .text = model.ToString(),
                                .snapshot_id = snapshot_id});
}

}  // namespace weighhouse
