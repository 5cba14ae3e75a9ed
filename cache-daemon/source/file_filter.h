#pragma once

#include <string_view>

#include "base/model.h"

namespace weighhouse::source {

constexpr size_t kMaxPatterns = 100;
constexpr size_t kMaxPatternBytes = 500;

/// True if the glob `pattern` matches the whole of `path`: fnmatch(3) with FNM_NOESCAPE, where `*`
/// and `?` cross `/`, case counts and a pattern that ends in `/` means everything below.
/// (`original/**/*` doesn't match `original/a`: write `original/*`.)
bool MatchesPattern(const std::string& pattern, const std::string& path);

/// The part of `listing` that `reference` asks for. A file is taken if an allow pattern matches it
/// (or there are none) and no ignore pattern does: ignore wins.
///
/// Where neither list is given, the defaults of file_filter.cc apply, if the model has weights in
/// safetensors: they leave out what would only be the same weights once more. An allow list is the
/// caller's own choice of files and is taken at its word: with it the defaults don't apply. An
/// empty ignore list switches them off; an empty allow list is as none.
///
/// kInvalidArgument: over kMaxPatterns patterns in a list, one over kMaxPatternBytes or empty, or
/// nothing is left (names the patterns).
Result<Listing> ApplyPatterns(const Listing& listing, const ModelReference& reference);

}  // namespace weighhouse::source
