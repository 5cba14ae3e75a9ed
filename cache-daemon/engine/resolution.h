#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/fair_pool.h"
#include "base/worker_pool.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/engine/lease_gate.h"
#include "cache-daemon/engine/publish_board.h"
#include "cache-daemon/engine/publish_waits.h"
#include "cache-daemon/engine/rights.h"
#include "cache-daemon/source/source_registry.h"
#include "cache-daemon/source/time_limit.h"

namespace weighhouse {

/// The engine's parts that an acquisition works with. Each outlives it.
struct EngineParts {
  store::Store& store;
  source::SourceRegistry& sources;
  fill::Filler& filler;
  WorkerPool& workers;  ///< for what takes a moment
  /// For asking sources, which may take minutes: each namespace has its share.
  FairPool& resolvers;
  LeaseGate& leases;
  PublishWaits& waits;
  PublishBoard& board;
  Rights& rights;
  const Clock& clock;
  const metrics::AcquireMetrics& metrics;
  std::stop_token stop;
  std::chrono::milliseconds longest_question = source::kLongestResolve;
};

/// What a reference means now, as far as this caller may know it.
struct Resolved {
  /// The selected files. Where it has `packed` layers, all files that are known before those have
  /// been read.
  Listing listing;
  std::shared_ptr<source::Source> source;
  AcquiredTree::ServedFrom served_from = AcquiredTree::ServedFrom::kSource;
};

/// Asks the source, with the caller's own rights: that is the check of them, and what came of it is
/// remembered (Rights). Of a commit that is here the source is only asked whether they may have it;
/// within `rights.recheckAfter` of the last time, and of a public origin's, it isn't asked at all.
/// With the source away: the last snapshot, of a public origin, or of any to whom the source gave
/// it within `rights.grantTtl`. To all others a private model stays kUnavailable then: presence is
/// not permission. Never kOutOfRange: that is the store's, of what is larger than the cache.
Result<Resolved> ResolveModel(const EngineParts& parts, const ModelReference& model,
                              const Caller& caller);

/// The answers of ResolveModel for which nobody need be asked. Nothing: its source must be.
Result<std::optional<Resolved>> ResolveUnasked(const EngineParts& parts,
                                               const ModelReference& model, const Caller& caller);

/// What `source` lists, with the files of layers that the store knows (fill::WithLayers): all of
/// it, where nothing is `packed`.
Result<Listing> ListFiles(const EngineParts& parts, source::Source& source,
                          const ModelReference& model, const Credentials& credentials);

/// What of ListFiles `model` asks for; all, where something is `packed`. In the same time, these
/// credentials have shown that they may read that; it is `anonymous` if anybody may. `whole`, where
/// it isn't null, gets all.
Result<Listing> SelectFiles(const EngineParts& parts, source::Source& source,
                            const ModelReference& model, const Credentials& credentials,
                            Listing* whole = nullptr);

/// The whole of `snapshot`, where an admin lets all its files be used. Nothing: some are left out
/// since, which makes another snapshot. kPermissionDenied: they may not be used.
Result<std::optional<Listing>> WholeListingOf(const EngineParts& parts,
                                              const store::Snapshot& snapshot);

/// What reads the `packed` layers of `resolved`.
fill::LayerRequest LayersOf(const EngineParts& parts, const ModelReference& model,
                            const Credentials& credentials, Resolved resolved,
                            fill::FillPriority priority);

/// The snapshot that `model` last meant, to whomever asked for the same origin by that name: a
/// secret may name a service of its tenant's own, and a Hub of another address may have other
/// models, and other ideas of who may read them.
std::optional<store::Snapshot> LastSnapshotOf(const EngineParts& parts,
                                              const source::Source& source,
                                              const ModelReference& model,
                                              const Credentials& credentials);

/// The listing that a snapshot's record holds.
Listing ListingOf(const store::Snapshot& snapshot);

}  // namespace weighhouse
