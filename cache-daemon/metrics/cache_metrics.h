#pragma once

#include <array>
#include <chrono>
#include <string_view>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/metrics/registry.h"

/// What the modules report, in their words (README.md lists what becomes of it). Each class holds
/// families of a registry, which outlives it; default-made, it counts nothing. Thread-safe.
namespace weighhouse::metrics {

/// "OK", or the code's name.
template <class T>
std::string_view CodeLabel(const Result<T>& outcome) {
  return outcome ? "OK" : CodeName(outcome.error().code);
}

/// Where a model comes from, as the configuration's `sources` are called.
enum class SourceKind { kHuggingFace, kModelScope, kOci, kHttp, kS3, kGcs, kLocal };
inline constexpr std::array kSourceKinds = {
    SourceKind::kHuggingFace, SourceKind::kModelScope, SourceKind::kOci,  SourceKind::kHttp,
    SourceKind::kS3,          SourceKind::kGcs,        SourceKind::kLocal};
/// Of ModelReference::Scheme().
SourceKind SourceKindOf(std::string_view scheme);
std::string_view SourceKindName(SourceKind source);

/// Of fills.
class FillMetrics {
 public:
  FillMetrics() = default;
  explicit FillMetrics(Registry& registry);

  void OnStarted(SourceKind source) const { started_[Index(source)].Add(); }
  void OnEnded(SourceKind source, const Result<>& outcome,
               std::chrono::duration<double> took) const;
  /// Bytes came, wanted or not in the end.
  void OnReceived(SourceKind source, Bytes bytes) const {
    received_[Index(source)].Add(static_cast<double>(bytes));
  }
  /// A file of so many bytes is a blob now.
  void OnVerified(SourceKind source, Bytes bytes) const {
    verified_[Index(source)].Add(static_cast<double>(bytes));
  }

 private:
  using BySource = std::array<Counter, kSourceKinds.size()>;
  static size_t Index(SourceKind source) { return static_cast<size_t>(source); }
  static BySource MakeBySource(const CounterFamily& family);

  BySource started_, received_, verified_;
  CounterFamily ended_;
  HistogramFamily duration_;
};

enum class EvictionReason {
  kSpace,    ///< a fill needed the room
  kLimit,    ///< the cache was over a limit that was lowered
  kRequest,  ///< somebody asked for it
};

/// Of the store.
class StoreMetrics {
 public:
  StoreMetrics() = default;
  explicit StoreMetrics(Registry& registry);

  void OnEvicted(EvictionReason reason, Bytes freed) const;
  /// A file of so many bytes is a blob again that had been evicted a short while ago.
  void OnRefetched(EvictionReason evicted, Bytes bytes) const;
  /// Staged bytes that no fill had were given up for a fill that needed the room.
  void OnIngestGivenUp(Bytes freed) const;
  void OnQuarantined() const { quarantined_.Add(); }

 private:
  CounterFamily evictions_, evicted_bytes_, refetched_bytes_;
  Counter ingests_, ingest_bytes_, quarantined_;
  History* evicted_ = nullptr;
};

/// How an Acquire found its model.
enum class Lookup {
  kHit,     ///< complete here
  kMiss,    ///< its fill was begun
  kJoined,  ///< its fill was under way
  kReplay,  ///< published already: the same publish again
};

/// Of Acquires. One publish counts once, however often kubelet repeats it.
class AcquireMetrics {
 public:
  AcquireMetrics() = default;
  explicit AcquireMetrics(Registry& registry);

  void OnFound(Lookup lookup) const;
  /// The tree is ready, so long after the publish's first Acquire.
  void OnReady(Lookup lookup, std::chrono::duration<double> waited) const;
  /// A call ended with an error; kubelet may come back.
  void OnFailed(Code code) const { failures_.Add({CodeName(code)}); }

 private:
  CounterFamily lookups_, failures_;
  HistogramFamily waits_;
};

/// Of the calls of cache.proto.
class CallMetrics {
 public:
  CallMetrics() = default;
  explicit CallMetrics(Registry& registry);
  /// `method` and `code` as gRPC calls them.
  void OnAnswered(std::string_view method, std::string_view code) const {
    calls_.Add({method, code});
  }

 private:
  CounterFamily calls_;
};

/// Of reading the configuration file again.
class ConfigurationMetrics {
 public:
  ConfigurationMetrics() = default;
  explicit ConfigurationMetrics(Registry& registry);
  void OnApplied() const { applied_.Add(); }
  void OnRejected() const { rejected_.Add(); }

 private:
  Counter applied_, rejected_;
};

/// Of reading blobs again.
class IntegrityMetrics {
 public:
  IntegrityMetrics() = default;
  explicit IntegrityMetrics(Registry& registry);
  void OnRead(Bytes bytes) const { bytes_.Add(static_cast<double>(bytes)); }
  void OnVerified() const { blobs_.Add(); }

 private:
  Counter blobs_, bytes_;
};

/// All that the daemon's modules report.
struct CacheMetrics {
  CacheMetrics() = default;
  explicit CacheMetrics(Registry& registry)
      : fill(registry),
        store(registry),
        acquire(registry),
        calls(registry),
        configuration(registry),
        integrity(registry) {}

  FillMetrics fill;
  StoreMetrics store;
  AcquireMetrics acquire;
  CallMetrics calls;
  ConfigurationMetrics configuration;
  IntegrityMetrics integrity;
};

}  // namespace weighhouse::metrics
