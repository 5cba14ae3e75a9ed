#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/model.h"

namespace weighhouse::agent {

/// 16 hexadecimal digits that stand for a model reference in a node's label, whose names have no
/// room for one: the beginning of the SHA-256 of its canonical form, `hf://org/name@main`. The
/// revision that its source takes for none counts as named, patterns don't count, and of a URL its
/// query doesn't (it may be a signature). Public surface: it never changes.
std::string ModelId(const ModelReference& reference);

/// The same of what a user or the daemon calls a model. Errors: ModelReference::Parse's.
Result<std::string> ModelIdOf(std::string_view model);

/// What stands before the id in a label's name.
inline constexpr std::string_view kLabelPrefix = "model.csi.weighhouse.dev/";
inline constexpr std::string_view kLabelValue = "cached";

}  // namespace weighhouse::agent
