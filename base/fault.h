#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace weighhouse {

/// Every place where the crash tests kill the daemon: between two steps of a durable operation. A
/// name that is missing here does not compile; a name here that no crash test reaches fails the
/// crash test.
inline constexpr std::array kFaultPoints = {
    // store: the snapshot record
    std::string_view("snapshot.before_record"),
    std::string_view("snapshot.record_written"),
    std::string_view("snapshot.record_renamed"),
    std::string_view("snapshot.recorded"),
    std::string_view("snapshot.before_complete"),
    std::string_view("snapshot.completed"),
    // store: one blob on its way in
    std::string_view("ingest.created"),
    std::string_view("ingest.allocated"),
    std::string_view("ingest.data_synced"),
    std::string_view("ingest.state_written"),
    std::string_view("ingest.state_renamed"),
    std::string_view("ingest.recorded"),
    std::string_view("ingest.resumed"),
    std::string_view("ingest.state_removed"),
    std::string_view("ingest.before_commit"),
    std::string_view("ingest.truncated"),
    std::string_view("ingest.synced"),
    std::string_view("ingest.verified_recorded"),
    std::string_view("ingest.renamed"),
    std::string_view("ingest.committed"),
    // store: the directory that pods mount
    std::string_view("tree.begun"),
    std::string_view("tree.first_link"),
    std::string_view("tree.linked"),
    std::string_view("tree.synced"),
    std::string_view("tree.renamed"),
    // store: leases, holds and references
    std::string_view("lease.written"),
    std::string_view("lease.renamed"),
    std::string_view("lease.dropped"),
    std::string_view("hold.written"),
    std::string_view("hold.renamed"),
    std::string_view("hold.dropped"),
    std::string_view("volume.written"),
    std::string_view("volume.renamed"),
    std::string_view("volume.forgotten"),
    std::string_view("reference.written"),
    std::string_view("reference.renamed"),
    // store: who may use which origin
    std::string_view("grant.key_written"),
    std::string_view("grant.key_renamed"),
    std::string_view("grant.written"),
    std::string_view("grant.renamed"),
    std::string_view("grant.dropped"),
    // store: eviction
    std::string_view("evict.begun"),
    std::string_view("evict.tree_renamed"),
    std::string_view("evict.tree_removed"),
    std::string_view("evict.record_removed"),
    std::string_view("evict.first_blob_removed"),
    std::string_view("evict.done"),
    // store: a blob that proved bad
    std::string_view("quarantine.moved"),
    std::string_view("quarantine.marked"),
    std::string_view("quarantine.recorded"),
    std::string_view("quarantine.dropped"),
    // store: which files a layer holds
    std::string_view("layer.written"),
    std::string_view("layer.renamed"),
    // store: how far the scrub is
    std::string_view("scrub.written"),
    std::string_view("scrub.recorded"),
    // fill
    std::string_view("fill.started"),
    std::string_view("fill.located"),
    std::string_view("fill.first_bytes"),
    std::string_view("fill.first_write_done"),
    std::string_view("fill.last_write_done"),
    std::string_view("fill.hashed"),
    std::string_view("fill.file_done"),
    std::string_view("fill.snapshot_filled"),
    // fill: layers that are read whole
    std::string_view("unpack.first_file"),
    std::string_view("unpack.staged"),
    std::string_view("unpack.recorded"),
    std::string_view("unpack.committed"),
};

/// The name of a fault point, checked when compiled.
class FaultName {
 public:
  consteval FaultName(const char* name) : name_(name) {
    if (std::ranges::find(kFaultPoints, name_) == kFaultPoints.end()) throw "unknown fault point";
  }
  std::string_view name() const { return name_; }

 private:
  std::string_view name_;
};

/// Kills the process with SIGKILL if the environment variable WEIGHHOUSE_FAULT is "<name>" (or
/// "<name>:<n>" for the n-th passage, from 1). With "trace:<file>" appends the name of each point
/// to the file when first passed. Compiled to nothing without WEIGHHOUSE_FAULT_POINTS (the release
/// preset).
#ifdef WEIGHHOUSE_FAULT_POINTS
void FaultPoint(FaultName name);
#else
inline void FaultPoint(FaultName) {}
#endif

}  // namespace weighhouse
