#include "agent/model_id.h"

#include "base/digest.h"

namespace weighhouse::agent {
namespace {

constexpr size_t kDigits = 16;

}  // namespace

std::string ModelId(const ModelReference& reference) {
  ModelReference named = reference;
  named.revision = reference.RevisionOrDefault();
  return Digest::Of(named.ToString()).Hex().substr(0, kDigits);
}

Result<std::string> ModelIdOf(std::string_view model) {
  ModelReference reference = TRY(ModelReference::Parse(model));
  return ModelId(reference);
}

}  // namespace weighhouse::agent
