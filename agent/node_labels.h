#pragma once

#include <cstddef>
#include <set>
#include <string>

#include "agent/publish_text.h"
#include "base/error.h"

namespace weighhouse::agent {

/// The labels' full names for the models that are complete here, the most recently used first, as
/// `list` has them, at most `most`. What a model is called by several references has a label for
/// each.
std::set<std::string> WantedLabels(const pb::ListResponse& list, size_t most);

/// What makes the labels of ours on `node` (a Node object as JSON) those that are `wanted`: an RFC
/// 7386 merge patch. "" where they are so already. Labels of others are never named.
/// kInvalidArgument where `node` is no object with metadata.
Result<std::string> LabelPatch(const std::set<std::string>& wanted, const std::string& node);

}  // namespace weighhouse::agent
