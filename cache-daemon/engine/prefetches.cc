#include "cache-daemon/engine/prefetches.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/engine/references.h"

namespace weighhouse {

Result<std::string> Prefetches::Begin(const ModelReference& model, const Credentials& credentials,
                                      Resolved resolved, Known known) {
  if (resolved.listing.packed.empty()) return Fill(model, credentials, std::move(resolved));
  std::shared_ptr<source::Source> source = resolved.source;
  auto then = [this, model, credentials, source,
               known = std::move(known)](const fill::LayersRead& read) {
    if (known) known(read.listing.SnapshotId());
    return Fill(model, credentials, {.listing = read.listing, .source = source});
  };
  auto done = [this, model, then = std::move(then)](const Result<fill::LayersRead>& read) {
    if (!read) {
      LogRepeated(LogLevel::kWarning,
                  fmt::format("prefetch {}: {}", model.ToString(), read.error().message));
      return;
    }
    // What `read` holds keeps its snapshot until the fill does.
    parts_.workers.Post([model, then, read = *read] {
      Result<std::string> begun = then(read);
      if (!begun)
        LogRepeated(LogLevel::kWarning,
                    fmt::format("prefetch {}: {}", model.ToString(), begun.error().message));
    });
  };
  parts_.filler.ReadLayers(
      LayersOf(parts_, model, credentials, std::move(resolved), fill::FillPriority::kPrefetch), {},
      std::move(done));
  return std::string();
}

Result<std::string> Prefetches::Fill(const ModelReference& model, const Credentials& credentials,
                                     Resolved resolved) {
  store::Snapshot snapshot = TRY(parts_.store.BeginSnapshot(resolved.listing));
  TRY(RecordMeaning(parts_.store, *resolved.source, model, credentials, snapshot.id));
  if (snapshot.complete) return snapshot.id;
  parts_.filler.Fill({.snapshot_id = snapshot.id,
                      .reference = model,
                      .listing = std::move(resolved.listing),
                      .credentials = credentials,
                      .source = std::move(resolved.source),
                      .priority = fill::FillPriority::kPrefetch},
                     {});
  return snapshot.id;
}

}  // namespace weighhouse
