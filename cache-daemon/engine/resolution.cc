#include "cache-daemon/engine/resolution.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/engine/references.h"
#include "cache-daemon/fill/layers/whole_listing.h"
#include "cache-daemon/source/time_limit.h"

namespace weighhouse {
namespace {

std::string WithoutSlash(const std::string& origin) { return origin.substr(0, origin.size() - 1); }

/// Of a bucket: Source::OriginFor doesn't tell a prefix from an object.
bool IsSameOrigin(const std::string& of_listing, const std::string& expected) {
  return of_listing == expected || of_listing + "/" == expected;
}

std::optional<store::Snapshot> CompleteSnapshotOf(const EngineParts& parts,
                                                  const source::Source& source,
                                                  const ModelReference& model,
                                                  const Credentials& credentials) {
  std::optional<store::Snapshot> snapshot = LastSnapshotOf(parts, source, model, credentials);
  if (!snapshot || !snapshot->complete) return std::nullopt;
  return snapshot;
}

Resolved FromCache(const store::Snapshot& snapshot, std::shared_ptr<source::Source> source) {
  return {.listing = ListingOf(snapshot),
          .source = std::move(source),
          .served_from = AcquiredTree::ServedFrom::kCache};
}

/// Its source contradicts itself: to callers kOutOfRange means that a model is larger than may be.
Error OfSource(Error error) {
  if (error.code == Code::kOutOfRange) error.code = Code::kFailedPrecondition;
  return error;
}

/// What the source lists for these credentials. Where the very commit is here, `known`, their right
/// to it is all that is asked for, if the source has a cheap answer to that.
Result<Listing> AskSource(const EngineParts& parts, source::Source& source,
                          const ModelReference& model, const Caller& caller,
                          const std::optional<store::Snapshot>& known) {
  bool is_here = known && model.IsCommit(model.revision) && !known->anonymous;
  if (is_here && !caller.credentials.empty()) {
    std::optional<Listing> cached = TRY(WholeListingOf(parts, *known));
    bool may_read = false;
    if (cached) {
      may_read = TRY(source::MayReadInTime(source, model, caller.credentials, parts.stop,
                                           parts.longest_question));
    }
    if (may_read) return *std::move(cached);
  }
  return SelectFiles(parts, source, model, caller.credentials);
}

}  // namespace

Result<std::optional<Listing>> WholeListingOf(const EngineParts& parts,
                                              const store::Snapshot& snapshot) {
  Listing permitted = TRY(parts.sources.Permitted(ListingOf(snapshot)));
  if (permitted.files.size() < snapshot.files.size()) return std::nullopt;
  return permitted;
}

Result<Listing> ListFiles(const EngineParts& parts, source::Source& source,
                          const ModelReference& model, const Credentials& credentials) {
  Listing listing =
      TRY(source::ResolveInTime(source, model, credentials, parts.stop, parts.longest_question));
  return fill::WithLayers(parts.store, std::move(listing));
}

Result<Listing> SelectFiles(const EngineParts& parts, source::Source& source,
                            const ModelReference& model, const Credentials& credentials,
                            Listing* whole) {
  Listing selected;
  auto ask = [&](const std::stop_token& stop) -> Result<> {
    Listing all = TRY(source.Resolve(model, credentials, stop));
    all = TRY(fill::WithLayers(parts.store, std::move(all)));
    if (whole != nullptr) *whole = all;
    if (!all.packed.empty()) {
      selected = std::move(all);
      return {};
    }
    selected = TRY(parts.sources.Select(all, model));
    all = {};  // it may be large, and to show rights take minutes
    selected.anonymous = TRY(source.ShowRights(model, credentials, selected, stop));
    return {};
  };
  TRY(source::InTime(parts.stop, parts.longest_question, ask));
  return selected;
}

fill::LayerRequest LayersOf(const EngineParts& parts, const ModelReference& model,
                            const Credentials& credentials, Resolved resolved,
                            fill::FillPriority priority) {
  return {.reference = model,
          .listing = std::move(resolved.listing),
          .credentials = credentials,
          .source = std::move(resolved.source),
          .priority = priority,
          .choose = [&sources = parts.sources, model](const Listing& whole) {
            return sources.Select(whole, model);
          }};
}

std::optional<store::Snapshot> LastSnapshotOf(const EngineParts& parts,
                                              const source::Source& source,
                                              const ModelReference& model,
                                              const Credentials& credentials) {
  auto reference = FindMeaning(parts.store, source, model, credentials);
  if (!reference) return std::nullopt;
  std::optional<store::Snapshot> snapshot = parts.store.FindSnapshot(reference->snapshot_id);
  std::string origin = source.OriginFor(model, credentials);
  if (snapshot && !origin.empty() && !IsSameOrigin(snapshot->origin, origin)) return std::nullopt;
  return snapshot;
}

Listing ListingOf(const store::Snapshot& snapshot) {
  Listing listing{.origin = snapshot.origin,
                  .revision = snapshot.revision,
                  .repository = snapshot.repository,
                  .anonymous = snapshot.anonymous};
  listing.files.reserve(snapshot.files.size());
  for (const store::SnapshotFile& file : snapshot.files) listing.files.push_back(file.listed);
  return listing;
}

Result<std::optional<Resolved>> ResolveUnasked(const EngineParts& parts,
                                               const ModelReference& model, const Caller& caller) {
  std::shared_ptr<source::Source> source = TRY(parts.sources.For(model));
  if (!model.IsCommit(model.revision)) return std::nullopt;
  std::optional<store::Snapshot> known =
      CompleteSnapshotOf(parts, *source, model, caller.credentials);
  if (!known || !parts.rights.MayHaveUnasked(*known, model, caller)) return std::nullopt;
  std::optional<Listing> cached = TRY(WholeListingOf(parts, *known));
  if (!cached) return std::nullopt;
  return FromCache(*known, std::move(source));
}

Result<Resolved> ResolveModel(const EngineParts& parts, const ModelReference& model,
                              const Caller& caller) {
  std::optional<Resolved> unasked = TRY(ResolveUnasked(parts, model, caller));
  if (unasked) return *std::move(unasked);
  std::shared_ptr<source::Source> source = TRY(parts.sources.For(model));
  std::optional<store::Snapshot> known =
      CompleteSnapshotOf(parts, *source, model, caller.credentials);
  auto asked = parts.clock.Steady();
  Result<Listing> listing = AskSource(parts, *source, model, caller, known);
  if (listing) {
    if (!listing->anonymous) parts.rights.Allowed(listing->origin, model, caller, asked);
    return Resolved{.listing = *std::move(listing), .source = std::move(source)};
  }
  Error error = std::move(listing).error();
  if (Rights::IsRefusal(error.code)) {
    std::string origin = source->OriginFor(model, caller.credentials);
    parts.rights.Refused(origin, model, caller);
    if (origin.ends_with('/')) parts.rights.Refused(WithoutSlash(origin), model, caller);
    if (known && !IsSameOrigin(known->origin, origin))
      parts.rights.Refused(known->origin, model, caller);
  }
  if (!known || !parts.rights.MayHaveAfter(error.code, *known, model, caller)) {
    return std::unexpected(OfSource(std::move(error)));
  }
  LogRepeated(
      LogLevel::kWarning,
      fmt::format("{}: {}: serving revision {}, which is cached and {}", model.ToString(),
                  error.message, known->revision,
                  known->anonymous ? "public" : "was granted to these credentials or to all"));
  Resolved cached = FromCache(*known, std::move(source));
  cached.listing = TRY(parts.sources.Permitted(cached.listing));
  return cached;
}

}  // namespace weighhouse
