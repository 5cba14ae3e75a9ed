#pragma once

#include <string>

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse::scale {

/// The models of a root that scale-root made, by number: a commit of a public model each, so that
/// an Acquire of one that is complete asks nobody.
inline std::string RepositoryOf(size_t number) { return fmt::format("scale/model-{}", number); }
inline std::string CommitOf(size_t number) {
  return Digest::Of(RepositoryOf(number)).Hex().substr(0, 40);
}
inline std::string ReferenceOf(size_t number) {
  return fmt::format("hf://{}@{}", RepositoryOf(number), CommitOf(number));
}

/// Their files, by number.
inline std::string FileNameOf(size_t file) { return fmt::format("model-{:05}.safetensors", file); }
inline std::string ContentOf(size_t model, size_t file) {
  return fmt::format("file {} of model {}\n", file, model);
}

}  // namespace weighhouse::scale
