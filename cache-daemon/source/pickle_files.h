#pragma once

#include <string_view>

#include "base/model.h"

namespace weighhouse::source {

/// What becomes of files that run code when they are loaded: Python's pickles, which most of these
/// formats are.
enum class PicklePolicy {
  kAllow,
  /// Left out in a directory that has safetensors too: the same weights are there, and nothing is
  /// lost. Where a model has pickles only, they are served.
  kLeaveOutBesideSafetensors,
  /// A selection that has any is refused. Leaving them out would give a pod a model without its
  /// weights, which it would notice late, and not know why.
  kRefuse,
};

/// True for *.bin, *.pt, *.pth, *.ckpt, *.pkl, *.pickle and *.joblib, whatever the case. By the
/// name only: what a file with another name is, its reader says.
bool IsPickle(std::string_view path);

/// What `policy` leaves of `selected`, files of `all`. kPermissionDenied names the files that are
/// refused and the way out; so where nothing is left.
Result<Listing> ApplyPicklePolicy(PicklePolicy policy, const Listing& all, Listing selected);

}  // namespace weighhouse::source
