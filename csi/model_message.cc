#include "csi/model_message.h"

#include "base/web_reference.h"

namespace weighhouse::csi {
namespace {

cache::v1::Patterns PatternsOf(const std::vector<std::string>& globs) {
  cache::v1::Patterns patterns;
  for (const std::string& glob : globs) patterns.add_globs(glob);
  return patterns;
}

}  // namespace

cache::v1::Model ToMessage(const ModelReference& reference) {
  cache::v1::Model model;
  model.set_uri(UriWithDigest(reference));
  model.set_revision(reference.revision);
  model.set_commit(reference.commit);
  if (reference.allow_patterns) *model.mutable_allow() = PatternsOf(*reference.allow_patterns);
  if (reference.ignore_patterns) *model.mutable_ignore() = PatternsOf(*reference.ignore_patterns);
  return model;
}

}  // namespace weighhouse::csi
