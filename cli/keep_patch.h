#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/json_text.h"

namespace weighhouse::cli {

enum class KeepEdit { kAdd, kRemove };

/// The configuration `text` (of the file `name`, for messages) with `models` on its list of what is
/// kept, or off it: all else, comments included, stays as it is. Those that are on it already are
/// not added again. kInvalidArgument: the text is no valid configuration, or would not be one, or
/// is written such that only its author can change it (flow style); a malformed model. kNotFound: a
/// model that isn't on the list. kAlreadyExists: all are.
Result<std::string> EditKeep(const std::string& text, const std::string& name, KeepEdit edit,
                             const std::vector<std::string>& models);

/// A merge patch of the ConfigMap of deploy/daemonset that gives it this file: as YAML, with
/// comments that say how to apply it, and as JSON, which kubectl takes too.
std::string ConfigMapPatch(const std::string& text);
Json ConfigMapPatchJson(const std::string& text);

}  // namespace weighhouse::cli
