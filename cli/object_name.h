#pragma once

#include <string>
#include <string_view>

#include "base/model.h"

/// Names of Kubernetes' objects (RFC 1123, as its API server checks them).
namespace weighhouse::cli {

inline constexpr std::string_view kObjectNameForm =
    "give at most 240 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit";
/// A DNS subdomain, with room for what we append to it.
bool IsObjectName(std::string_view name);

inline constexpr std::string_view kNamespaceNameForm =
    "give at most 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit";
/// A DNS label.
bool IsNamespaceName(std::string_view name);

/// A DNS label of what is asked for, so that a class, a claim and a pod's volume may be called so:
/// `hf://Qwen/Qwen2.5-1.5B@v1` with `words` "-hub" is `qwen-qwen2-5-1-5b-v1-hub`. Lower case; what
/// isn't a letter or digit becomes one '-'; the default revision isn't named, a commit by its first
/// 12 digits. If that is longer than 63, or `exact` (there is more to tell apart than the words
/// say), it ends in 8 hexadecimal digits of the sha256 of `identity`, shortened before them.
std::string ObjectNameOf(const ModelReference& model, std::string_view words,
                         std::string_view identity, bool exact);

}  // namespace weighhouse::cli
