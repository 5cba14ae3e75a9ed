#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache-daemon/store/busy_scope.h"
#include "cache-daemon/store/grant_key.h"
#include "cache-daemon/store/index.h"
#include "cache-daemon/store/root.h"
#include "cache-daemon/store/root_layout.h"
#include "cache-daemon/store/store.h"
#include "cache-daemon/store/trash.h"
#include "cache-daemon/store/tree_builder.h"

namespace weighhouse::store {

/// The store on a real root. Its operations stand in one file per noun: store_snapshots.cc,
/// store_trees.cc, store_ingests.cc, store_blobs.cc, store_quarantine.cc,
/// store_scrub.cc, store_leases.cc, store_holds.cc, store_volumes.cc,
/// store_references.cc, store_layers.cc, store_grants.cc, store_space.cc, store_evict.cc.
/// Thread-safe.
///
/// Order of what an operation may hold, from first to last; nobody waits for something to the left
/// of what it holds:
///   1. pins of blobs (BlobPin): the file stays; waits for a leaving blob to be gone
///   2. one busy name (BusyScope): a snapshot's id, `lease/<id>`, `hold/<id>`,
///   `volume/<key>`, `grants/<key>`, `layer/<id>`, `reference/<fingerprint>` or
///   `quarantine/<sha256>`: no other operation on it
///   3. state->mutex: the index; held over no I/O but the setting of a file's time
///   4. Trash's own mutex
/// Only Quarantine waits for pins to end, and it holds nothing then. On disk a change comes before
/// the index if it gives (a blob, a record, a lease is durable before it is known) and after it if
/// it takes (a tree or blob is known as leaving before it goes).
class StoreImpl final : public Store {
 public:
  struct Parts {
    io::Filesystem& filesystem;
    const Clock& clock;
    RootLayout layout;
    PreparedRoot root;
    GrantKey grant_key;
    std::string boot_id;
    SpaceLimits limits;
    metrics::StoreMetrics metrics;
    Index index;
    RecoverySummary recovery;
  };
  explicit StoreImpl(Parts parts);
  ~StoreImpl() override;

  const std::string& root() const override { return layout_.root(); }
  const std::string& root_id() const override { return root_.id; }
  const RecoverySummary& recovery() const override { return recovery_; }
  const std::string& boot_id() const override { return boot_id_; }

  Result<Snapshot> BeginSnapshot(const Listing& listing) override;
  std::set<std::string> UsableFiles(const Listing& listing) const override;
  std::optional<Snapshot> FindSnapshot(const std::string& id) const override;
  bool IsWhole(const std::string& id) const override;
  std::vector<Snapshot> Snapshots() const override;
  Result<> CompleteSnapshot(const std::string& id) override;
  Result<std::string> EnsureTree(const std::string& id, Layout layout,
                                 const std::string& requested_revision) override;
  std::optional<std::string> FindTree(const std::string& id, Layout layout,
                                      const std::string& requested_revision) const override;
  Result<std::string> SnapshotOfTree(const std::string& tree) const override;
  void Touch(const std::string& id) override;

  Result<std::unique_ptr<Ingest>> StartIngest(const std::string& id, const FileIdentity& identity,
                                              Bytes size) override;
  Result<std::optional<BadBlob>> VerifyBlob(const Digest& sha256,
                                            const std::function<bool(Bytes)>& after_piece) override;
  Result<UniqueFd> OpenBlob(const Digest& sha256) const override;
  std::vector<BlobUse> Blobs(const std::string& snapshot_id) const override;

  QuarantineSums Quarantined() const override;
  Bytes DropQuarantined() override { return SweepQuarantine(Sweep::kAll); }
  void TidyQuarantine() override;
  std::vector<LeaseRecord> DamagedLeases() const override;

  ScrubState ReadScrub() override;
  Result<> RecordScrub(const ScrubState& state) override;

  Result<> RecordReference(const ReferenceRecord& record) override;
  std::optional<ReferenceRecord> FindReference(const std::string& fingerprint) const override;
  std::vector<ReferenceRecord> References() const override;

  Result<> RecordLayer(const LayerOrigin& origin, const LayerRecord& record) override;
  std::optional<LayerRecord> FindLayer(const LayerOrigin& origin,
                                       const PackedLayer& layer) const override;

  Result<> RecordGrant(const GrantUse& use) override;
  std::optional<std::chrono::steady_clock::time_point> GrantAsked(
      const std::string& origin, std::string_view credential,
      std::string_view choice) const override;
  Result<> DropGrant(const std::string& origin, std::string_view credential) override;
  void DropGrantsBefore(std::chrono::steady_clock::time_point time) override;
  std::string DigestOfSecret(std::string_view secret) const override {
    return grant_key_.MacOfSecret(secret);
  }

  Result<> TakeLease(const LeaseRecord& lease) override {
    return PutLease(lease, LeaseFor::kPublish);
  }
  Result<> TakeLeaseOfMount(const LeaseRecord& lease) override {
    return PutLease(lease, LeaseFor::kMount);
  }
  Result<> DropLease(const std::string& id) override;
  std::optional<LeaseRecord> FindLease(const std::string& id) const override;
  std::vector<LeaseRecord> Leases() const override;

  Result<HoldRecord> TakeHold(const HoldRecord& wanted) override;
  Result<> DropHold(const std::string& volume_id) override;
  void ArriveForHold(const std::string& volume_id, const std::string& snapshot_id) override;
  std::optional<HoldRecord> FindHold(const std::string& volume_id) const override;
  std::vector<HoldRecord> Holds() const override;
  std::optional<std::chrono::steady_clock::duration> DropEndedHolds() override;

  Result<> RecordVolume(const VolumeRecord& volume) override;
  Result<> ForgetVolume(const std::string& volume_id) override;
  std::optional<VolumeRecord> FindVolume(const std::string& volume_id) const override;
  void ForgetOldVolumes() override;

  Result<ListingFit> FitOf(const Listing& listing) const override;
  Result<Reservation> Reserve(Bytes bytes, const std::string& for_snapshot,
                              const std::set<std::string>& ingest_ids) override;
  Result<SpaceSums> Space() const override;
  Usage UsageOfSnapshots() const override;
  Result<> SetLimits(Bytes limit, std::optional<Bytes> min_free) override;
  Result<EvictedToFit> EvictToFit(FitTo fit_to) override;
  Contents Count() const override;
  Result<Bytes> Evict(const std::string& snapshot_id) override;
  void DropBare(const std::string& snapshot_id) override;
  void SetKept(std::set<std::string> snapshot_ids) override;
  std::set<std::string> Kept() const override;
  std::shared_ptr<void> HoldForFill(const std::string& snapshot_id) override;

 private:
  friend class StagedIngest;
  friend class Store;  // whose Open makes it

  Result<> MarkComplete(const std::string& id);

  // Snapshots. The caller has made the snapshot busy.
  /// Makes `record` what is on disk, durably.
  Result<> WriteRecord(const SnapshotRecord& record);
  /// Gives `record` the blobs that are known (Index::GiveKnownBlobs) and keeps them by `pins`.
  size_t GiveKnownBlobs(SnapshotRecord& record, std::vector<BlobPin>& pins) REQUIRES(state_->mutex);
  /// Writes the last use that the index knows to the record's file.
  void WriteLastUse(const std::string& id) REQUIRES(state_->mutex);

  // Trees
  Result<std::string> MakeTree(const std::string& id, Layout layout, const std::string& ref_name);
  Result<Bytes> RecordAndBuild(const SnapshotRecord& record, const TreePlan& plan,
                               const std::string& path);
  /// After a blob was not where the index has it: finds the snapshot's lost blobs and marks them
  /// so.
  void LoseMissingBlobs(const std::string& snapshot_id);
  /// Takes the snapshot's withdrawn trees that nobody leases out of sight; they go with the trash.
  void DiscardUnusedTrees(const std::string& snapshot_id);

  // Ingests
  enum class GiveUp {
    kUnwanted,  ///< no snapshot lacks it
    kForSpace,  ///< its bytes are needed
  };
  /// Removes an ingest that no fill has or was promised; returns the bytes freed. For space it
  /// spares what IngestCandidates of the same arguments does.
  Result<Bytes> GiveUpIngest(const std::string& id, GiveUp why,
                             const std::string& for_snapshot = "",
                             const std::set<std::string>& its_ingests = {});
  /// Removes the idle ingests that no snapshot lacks any more; returns the bytes freed.
  Bytes SweepIngests();

  // Blobs
  /// What the blob of that version hashes to, or what the disk says where it can't be read.
  /// kNotFound: it is no longer the one of that version.
  Result<std::string> HashBlob(const Digest& sha256, uint64_t version,
                               const std::function<bool(Bytes)>& after_piece);
  Result<> CheckVersion(const Digest& sha256, uint64_t version) const;
  /// Takes the blob's file, which was found to be `found`, out of use, with all that depends on it.
  /// kNotFound: it is no longer the one of that version.
  Result<BadBlob> Quarantine(const Digest& sha256, uint64_t version, std::string found);
  struct Leaving {
    bool begun = false;                  ///< else it is pinned, and stays so for minutes
    std::vector<std::string> paths;      ///< "<snapshot id>/<path>"
    std::vector<std::string> snapshots;  ///< that have it
  };
  Result<Leaving> BeginQuarantine(const Digest& sha256, uint64_t version);
  /// Moves the file of a leaving blob; false if there is none. On failure the blob is here still.
  Result<bool> MoveToQuarantine(const Digest& sha256);
  Result<bool> RenameIntoQuarantine(const Digest& sha256);
  /// Marks the snapshot as lacking the blob and withdraws its trees, in memory and durably.
  void MarkLacking(const std::string& snapshot_id, const Digest& sha256);
  void RecordLacking(const SnapshotRecord& record);
  /// Removes the blobs that no snapshot lists, and remembers why; returns the bytes freed.
  Bytes SweepBlobs(metrics::EvictionReason reason);
  /// Removes the file of a leaving blob; false (and the blob is present again) if that fails.
  bool RemoveBlob(const Digest& sha256, metrics::EvictionReason reason);

  // Quarantine
  enum class Sweep {
    kNeedless,  ///< those whose blob is here again, or listed by nobody
    kAll,
  };
  /// The caller holds no busy name.
  Bytes SweepQuarantine(Sweep sweep);
  bool RemoveQuarantined(const Digest& sha256, Sweep sweep);

  // Grants
  /// Has the disk say of one origin's grants what memory does, or nothing.
  Result<> SaveGrants(const std::string& key);
  Result<> WriteGrants(const std::string& key, const OriginGrants& grants);

  // Leases
  enum class LeaseFor {
    kPublish,  ///< its tree is about to be handed out
    kMount,    ///< its tree is mounted already
  };
  static Result<> CheckLeasable(const Index& index, const LeaseRecord& lease, LeaseFor lease_for);
  Result<> PutLease(const LeaseRecord& lease, LeaseFor lease_for);
  Result<> WriteLease(const LeaseRecord& lease);

  // Holds
  /// Gives those that were read from the disk the ends that they have by the clock of this process.
  void SetDeadlines();
  /// Unless its deadline is later than `ended_by`.
  Result<> DropHoldOf(const std::string& volume_id, std::chrono::steady_clock::time_point ended_by);
  /// The record, its end told by the wall clock as it is now.
  HoldRecord RecordOf(const HoldBook::Entry& hold) const;
  /// Takes a hold that isn't durable yet out of the index.
  void TakeBack(const std::string& id);
  /// Makes the hold that is in the index durable, or takes it out again. The caller has made it
  /// busy.
  Result<HoldRecord> MakeDurable(const std::string& id, const HoldRecord& wanted);

  // Space
  /// What somebody wants to have room for.
  struct Promise {
    std::string for_snapshot;          ///< or empty
    std::set<std::string> ingest_ids;  ///< of its fill
    std::function<Bytes(const Index&)> need;
    std::function<Result<>(Index&)> make;  ///< where it fits, with the index as it was looked at
  };
  /// One attempt: made, or what must go first. Neither: the sums changed meanwhile.
  struct Attempt {
    bool made = false;
    std::vector<std::string> ingests;
    std::vector<std::string> snapshots;
  };
  /// Makes the promise once there is room, for which it evicts. Errors as those of Reserve.
  Result<> Make(const Promise& promise);
  Result<Attempt> TryMake(const Promise& promise);
  /// What must go, or all that may go where that is too little.
  struct Excess {
    Bytes bytes = 0;
    std::vector<std::string> ingests;
    std::vector<std::string> snapshots;
  };
  /// Nothing: the sums changed meanwhile.
  Result<std::optional<Excess>> FindExcess(FitTo fit_to);
  /// Evicts a snapshot that was chosen; nothing if it was taken into use or went since.
  Result<std::optional<Bytes>> EvictChosen(metrics::EvictionReason reason,
                                           const std::string& snapshot_id);
  /// Evicts an idle snapshot, and counts and logs that.
  Result<Bytes> EvictFor(metrics::EvictionReason reason, const std::string& snapshot_id);
  /// A snapshot that is here no more, and the bytes that this freed.
  struct Gone {
    std::string origin;
    Bytes freed = 0;
  };
  Result<Gone> RemoveSnapshot(metrics::EvictionReason reason, const std::string& snapshot_id);
  /// Marks an idle snapshot as going away; returns its trees.
  Result<std::vector<TreeRecord>> MarkLeaving(const std::string& snapshot_id);
  Result<> RemoveTrees(const std::vector<TreeRecord>& trees);
  Result<> RemoveRecord(const std::string& snapshot_id);
  void ForgetReferences(const std::string& snapshot_id);
  Result<> ForgetReference(const std::string& fingerprint, const std::string& snapshot_id);

  io::Filesystem& filesystem_;
  const Clock& clock_;
  const RootLayout layout_;
  const PreparedRoot root_;
  const GrantKey grant_key_;
  const std::string boot_id_;
  const metrics::StoreMetrics metrics_;
  const RecoverySummary recovery_;
  const std::shared_ptr<StoreState> state_;  // shared: see StoreState
  Trash trash_;
};

/// "2 leases, 1 fill": why a snapshot isn't idle.
std::string DescribeUse(const Index& index, const std::string& snapshot_id);

}  // namespace weighhouse::store
