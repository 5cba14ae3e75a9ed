#include "cache-daemon/metrics/cache_metrics.h"

#include <vector>

namespace weighhouse::metrics {
namespace {

/// From a small model on a fast network to a large one on a slow one.
std::vector<double> FillBounds() {
  return {0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200};
}

/// A tree that is there takes milliseconds, one that must be filled up to hours.
std::vector<double> WaitBounds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,
          2.5,   5,      10,    30,   60,    120,  300, 600,  1800, 3600};
}

std::string_view ReasonName(EvictionReason reason) {
  switch (reason) {
    case EvictionReason::kSpace:
      return "space";
    case EvictionReason::kLimit:
      return "limit";
    case EvictionReason::kRequest:
      return "request";
  }
  return "";
}

std::string_view LookupName(Lookup lookup) {
  switch (lookup) {
    case Lookup::kHit:
      return "hit";
    case Lookup::kMiss:
      return "miss";
    case Lookup::kJoined:
      return "joined";
    case Lookup::kReplay:
      return "replay";
  }
  return "";
}

/// Warm: no byte had to come.
std::string_view Warmth(Lookup lookup) { return lookup == Lookup::kHit ? "warm" : "cold"; }

}  // namespace

SourceKind SourceKindOf(std::string_view scheme) {
  if (scheme == "hf") return SourceKind::kHuggingFace;
  if (scheme == "modelscope") return SourceKind::kModelScope;
  if (scheme == "oci") return SourceKind::kOci;
  if (scheme == "s3") return SourceKind::kS3;
  if (scheme == "gs") return SourceKind::kGcs;
  return scheme == "file" ? SourceKind::kLocal : SourceKind::kHttp;
}

std::string_view SourceKindName(SourceKind source) {
  switch (source) {
    case SourceKind::kHuggingFace:
      return "huggingface";
    case SourceKind::kModelScope:
      return "modelscope";
    case SourceKind::kOci:
      return "oci";
    case SourceKind::kHttp:
      return "http";
    case SourceKind::kS3:
      return "s3";
    case SourceKind::kGcs:
      return "gcs";
    case SourceKind::kLocal:
      return "local";
  }
  return "";
}

FillMetrics::BySource FillMetrics::MakeBySource(const CounterFamily& family) {
  BySource counters;
  for (SourceKind source : kSourceKinds) {
    counters[Index(source)] = family.At({SourceKindName(source)});
  }
  return counters;
}

FillMetrics::FillMetrics(Registry& registry)
    : started_(MakeBySource(registry.Counters("weighhouse_fills_started_total",
                                              "Fills that were begun.", {"source"}))),
      received_(MakeBySource(registry.Counters(
          "weighhouse_fill_received_bytes_total",
          "Bytes that fills received, over the network but for source=\"local\", those included "
          "that had to be fetched again.",
          {"source"}))),
      verified_(MakeBySource(registry.Counters("weighhouse_fill_verified_bytes_total",
                                               "Bytes of the files that fills verified and made "
                                               "blobs.",
                                               {"source"}))),
      ended_(registry.Counters("weighhouse_fills_ended_total",
                               "Fills that ended: with code=\"OK\" the model is complete, with any "
                               "other the next publish of it goes on.",
                               {"source", "code"})),
      duration_(registry.Histograms("weighhouse_fill_duration_seconds",
                                    "How long the fills took that made their model complete.",
                                    {"source"}, FillBounds())) {
  for (SourceKind source : kSourceKinds) {
    ended_.At({SourceKindName(source), "OK"});
    duration_.Show({SourceKindName(source)});
  }
}

void FillMetrics::OnEnded(SourceKind source, const Result<>& outcome,
                          std::chrono::duration<double> took) const {
  ended_.Add({SourceKindName(source), CodeLabel(outcome)});
  if (outcome) duration_.Observe({SourceKindName(source)}, took);
}

StoreMetrics::StoreMetrics(Registry& registry)
    : evictions_(registry.Counters("weighhouse_evictions_total",
                                   "Snapshots that were evicted: because a fill needed the space, "
                                   "because the limit was lowered, or on request.",
                                   {"reason"})),
      evicted_bytes_(registry.Counters("weighhouse_evicted_bytes_total",
                                       "Bytes that evictions freed; files that other snapshots "
                                       "share stay and don't count.",
                                       {"reason"})),
      refetched_bytes_(registry.Counters("weighhouse_refetched_bytes_total",
                                         "Bytes of the files that were fetched again less than an "
                                         "hour after they were evicted, by why they had been.",
                                         {"reason"})),
      ingests_(registry
                   .Counters("weighhouse_ingests_given_up_total",
                             "Half-fetched files that were given up because the space was "
                             "needed.")
                   .At({})),
      ingest_bytes_(registry
                        .Counters("weighhouse_ingests_given_up_bytes_total",
                                  "Bytes that giving up half-fetched files freed.")
                        .At({})),
      quarantined_(registry
                       .Counters("weighhouse_blobs_quarantined_total",
                                 "Files that were found damaged or missing on the disk, and will "
                                 "be fetched again.")
                       .At({})),
      evicted_(&registry.evicted()) {
  for (EvictionReason reason :
       {EvictionReason::kSpace, EvictionReason::kLimit, EvictionReason::kRequest}) {
    evictions_.At({ReasonName(reason)});
    evicted_bytes_.At({ReasonName(reason)});
    refetched_bytes_.At({ReasonName(reason)});
  }
}

void StoreMetrics::OnEvicted(EvictionReason reason, Bytes freed) const {
  evictions_.Add({ReasonName(reason)});
  evicted_bytes_.Add({ReasonName(reason)}, static_cast<double>(freed));
  if (evicted_ != nullptr) evicted_->Add(freed);
}

void StoreMetrics::OnRefetched(EvictionReason evicted, Bytes bytes) const {
  refetched_bytes_.Add({ReasonName(evicted)}, static_cast<double>(bytes));
}

void StoreMetrics::OnIngestGivenUp(Bytes freed) const {
  ingests_.Add();
  ingest_bytes_.Add(static_cast<double>(freed));
}

AcquireMetrics::AcquireMetrics(Registry& registry)
    : lookups_(registry.Counters(
          "weighhouse_acquires_total",
          "How publishes and pulls found their model: hit, complete here; miss, a fill was begun; "
          "joined, its fill was under way; replay, the same publish again. Each counts once, "
          "however often it is repeated while it waits.",
          {"result"})),
      failures_(registry.Counters("weighhouse_acquire_failures_total",
                                  "Calls of Acquire that ended with an error; of those that are "
                                  "temporary kubelet comes back.",
                                  {"code"})),
      waits_(registry.Histograms(
          "weighhouse_acquire_duration_seconds",
          "From the first Acquire of a publish or pull until its model's files were ready: warm, "
          "where it was a hit; cold, where it waited for a fill.",
          {"outcome"}, WaitBounds())) {
  for (Lookup lookup : {Lookup::kHit, Lookup::kMiss, Lookup::kJoined, Lookup::kReplay}) {
    lookups_.At({LookupName(lookup)});
  }
  for (Lookup lookup : {Lookup::kHit, Lookup::kMiss}) waits_.Show({Warmth(lookup)});
}

void AcquireMetrics::OnFound(Lookup lookup) const { lookups_.Add({LookupName(lookup)}); }

void AcquireMetrics::OnReady(Lookup lookup, std::chrono::duration<double> waited) const {
  // Nobody waits for a replay, and many of them would hide how long the others took.
  if (lookup != Lookup::kReplay) waits_.Observe({Warmth(lookup)}, waited);
}

ConfigurationMetrics::ConfigurationMetrics(Registry& registry) {
  CounterFamily reloads = registry.Counters("weighhouse_configuration_reloads_total",
                                            "Changes of the configuration file since the start: "
                                            "applied, or rejected because it is wrong.",
                                            {"result"});
  applied_ = reloads.At({"applied"});
  rejected_ = reloads.At({"rejected"});
}

IntegrityMetrics::IntegrityMetrics(Registry& registry)
    : blobs_(registry
                 .Counters("weighhouse_verified_blobs_total",
                           "Files that were read again from the disk, by verify and the scrub.")
                 .At({})),
      bytes_(registry
                 .Counters("weighhouse_verified_bytes_total",
                           "Bytes that were read again from the disk, by verify and the scrub.")
                 .At({})) {}

CallMetrics::CallMetrics(Registry& registry)
    : calls_(registry.Counters("weighhouse_grpc_calls_total",
                               "Calls on the sockets that were answered, by gRPC's code.",
                               {"method", "code"})) {}

}  // namespace weighhouse::metrics
