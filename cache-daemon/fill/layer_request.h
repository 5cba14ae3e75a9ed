#pragma once

#include <functional>
#include <memory>

#include "base/log_context.h"
#include "base/model.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::fill {

/// Fills that somebody waits for go before those that nobody does.
enum class FillPriority { kPrefetch, kWaitedFor };

/// Layers that must be read before their model's files are known, and how to ask for them.
struct LayerRequest {
  ModelReference reference;
  Listing listing;  ///< with `packed` layers; all that the source lists
  Credentials credentials;
  std::shared_ptr<source::Source> source;  ///< shared with the engine, as FillRequest's
  FillPriority priority = FillPriority::kWaitedFor;
  /// The part of the whole listing that is the snapshot. Called on a thread of the reading's.
  std::function<Result<Listing>(const Listing& whole)> choose;
  LogContext log = LogContext::Current();  ///< of who asks
};

/// What they turned out to be.
struct LayersRead {
  Listing listing;             ///< what `choose` made of it; the store knows it as a snapshot
  std::shared_ptr<void> hold;  ///< keeps that from being evicted
  Bytes bytes_fetched = 0;     ///< over the network, packed
};
/// Called once, on a thread of the reading's. Must not block.
using LayersDone = std::function<void(const Result<LayersRead>&)>;

}  // namespace weighhouse::fill
