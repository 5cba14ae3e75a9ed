#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/engine/resolution.h"

namespace weighhouse {

/// Fills that nobody waits for, of models whose files may not be known yet. Thread-safe.
class Prefetches {
 public:
  /// All that `parts` refer to outlives it.
  explicit Prefetches(const EngineParts& parts) : parts_(parts) {}

  /// Called when the layers of a model were read, before its fill begins, with its snapshot's id.
  using Known = std::function<void(const std::string& snapshot_id)>;
  /// Has `model`, which was found to be `resolved`, fetched: its reference means the snapshot from
  /// then on. Returns the snapshot's id; "" where it is not known before layers have been read,
  /// which is begun: what fails of that is logged.
  Result<std::string> Begin(const ModelReference& model, const Credentials& credentials,
                            Resolved resolved, Known known);

 private:
  Result<std::string> Fill(const ModelReference& model, const Credentials& credentials,
                           Resolved resolved);

  const EngineParts parts_;
};

}  // namespace weighhouse
