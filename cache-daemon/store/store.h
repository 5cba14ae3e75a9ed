#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/model.h"
#include "base/unique_fd.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/metrics/cache_metrics.h"
#include "cache-daemon/store/grant_record.h"
#include "cache-daemon/store/hold_record.h"
#include "cache-daemon/store/layer_record.h"
#include "cache-daemon/store/scrub_state.h"
#include "cache-daemon/store/usage.h"
#include "cache-daemon/store/volume_record.h"

namespace weighhouse::store {

/// One file of a snapshot and the blob it is, once its bytes were verified here.
struct SnapshotFile {
  ListedFile listed;
  std::optional<Digest> blob;
};

/// The record of a resolved model: what `snapshots/<id>.json` (and, while it fills,
/// `<id>.verified`) says.
struct Snapshot {
  std::string id;
  std::string origin;
  std::string revision;
  std::string repository;
  bool anonymous = false;  ///< everybody may use this origin
  bool complete = false;   ///< every file has its blob
  std::vector<SnapshotFile> files;
  std::chrono::system_clock::time_point last_used;

  Bytes TotalBytes() const;
  Bytes PresentBytes() const;
};

/// Who holds a tree, and what it asked for.
struct LeaseRecord {
  std::string id;  ///< 64 hex digits
  std::string snapshot_id;
  std::string tree;  ///< relative to the root
  std::string volume_id;
  std::string target_path;
  std::string pod_namespace;
  std::string pod_name;
  std::string pod_uid;
  std::string
      request_fingerprint;  ///< of model reference + layout: the same request again is idempotent
  std::string boot_id;
  std::chrono::system_clock::time_point taken;
};

/// Which model references last gave which snapshot (for when the source is away, and for people).
struct ReferenceRecord {
  std::string fingerprint;  ///< ModelReference::Fingerprint(), or a digest of it and an origin
  std::string text;         ///< ModelReference::ToString()
  std::string snapshot_id;
};

/// The sums of space, in bytes of real allocation. See design: ledger.
struct SpaceSums {
  Bytes limit = 0;
  Bytes used = 0;
  Bytes held = 0;
  Bytes reserved = 0;
  Bytes for_holds = 0;    ///< of `reserved`
  Bytes unallocated = 0;  ///< of `reserved`
  Bytes evictable = 0;
  Bytes available = 0;
  Bytes filesystem_total = 0;
  Bytes filesystem_free = 0;
  Bytes min_free = 0;
};

/// "limit 64.0 MiB, held by pods or kept 22.1 MiB, …": for messages that say why there is no room.
std::string Describe(const SpaceSums& sums);

/// How a listing stands to what is here.
struct ListingFit {
  Bytes bytes = 0;      ///< of its files
  Bytes missing = 0;    ///< of them: to be fetched
  bool fits = false;    ///< there is room for what is missing, evicting what is idle
  bool cached = false;  ///< nothing is missing
};

enum class FitTo {
  kLimit,
  kLimitAndMinFree,  ///< whoever fills the disk: for when an admin asks for it
};

/// What EvictToFit did.
struct EvictedToFit {
  size_t snapshots = 0, ingests = 0;
  Bytes freed = 0;
  Bytes excess = 0;  ///< still too much, because it is in use
};

/// How many of what there are.
struct Contents {
  size_t snapshots_complete = 0;
  size_t snapshots_incomplete = 0;
  size_t snapshots_kept = 0;  ///< complete or not
  size_t blobs = 0;
  size_t leases = 0;
  size_t holds = 0;
  size_t volumes = 0;
  size_t grants = 0;
  size_t quarantined_blobs = 0;
  Bytes quarantined_bytes = 0;  ///< allocated
};

/// Bytes promised to a fill; given back when destroyed. Move-only.
class Reservation {
 public:
  Reservation() = default;
  explicit Reservation(std::shared_ptr<void> claim) : claim_(std::move(claim)) {}

 private:
  std::shared_ptr<void> claim_;  // shared_ptr<void>: the ledger's own type stays hidden
};

/// One blob on its way in: a staged file that nobody sees until `Commit`. Destroyed uncommitted,
/// what was recorded durable stays to be resumed, as long as a snapshot lacks it and nobody needs
/// its space. Used by one thread at a time.
class Ingest {
 public:
  virtual ~Ingest() = default;
  /// For writing at 4096-aligned offsets if `direct()`; preallocated up to the size rounded up to
  /// 4096.
  virtual int fd() const = 0;
  virtual bool direct() const = 0;
  /// Where the staged bytes can be read back.
  virtual const std::string& path() const = 0;
  /// What an earlier ingest of this id and content left that is known to be on the disk: sorted,
  /// disjoint ranges. Changed by ShareBlocks alone.
  virtual const std::vector<ByteRange>& resumed() const = 0;
  /// Has the staged file share what it can of the blocks of `from`, which holds the same bytes: no
  /// copy, and no later write to `from` changes ours. Durable, and a part of resumed(), when it
  /// returns. Returns how many bytes that are: 0 where something was resumed, or the filesystems
  /// can't (io::CloneRange). Before anything is written.
  virtual Result<Bytes> ShareBlocks(int from) = 0;
  /// Makes `written` (ranges completely written before the call) survive a power cut: syncs the
  /// staged file's data, then records them durably. Any thread, one call at a time; writes to other
  /// ranges may be under way.
  virtual Result<> RecordDurable(const std::vector<ByteRange>& written) = 0;
  /// The staged bytes are wrong: nothing of them may be resumed, they go with this object. Nothing
  /// more is recorded.
  virtual void Discard() = 0;
  /// All bytes are written: cuts the file to its size, makes it read-only and syncs it, and closes
  /// it. Commit, which else does that, may follow; nothing is written or recorded any more. So that
  /// many can wait for their commit.
  virtual Result<> Seal() = 0;
  /// Publishes the bytes as the blob `sha256`, which the caller computed over all of them and
  /// checked against the file's identity; records that `snapshot_id`'s files with this identity are
  /// that blob. Durable when it returns. If the blob is there already, ours is dropped.
  virtual Result<> Commit(const std::string& snapshot_id, const FileIdentity& identity, Bytes size,
                          const Digest& sha256) = 0;
};

/// A blob that didn't hash to its name.
struct BadBlob {
  std::string found;               ///< what it hashes to, "missing", or why it can't be read
  std::vector<std::string> paths;  ///< "<snapshot id>/<path>" that showed it
  std::string stays;  ///< why it can't be put into quarantine and is served still; empty: it was
};

/// Bad blobs that are kept, for people to look at, until their space or nothing of them is needed.
struct QuarantineSums {
  size_t blobs = 0;
  Bytes bytes = 0;
};

struct StoreOptions {
  std::string root;
  Bytes limit = 0;                ///< 0: the filesystem's size
  std::optional<Bytes> min_free;  ///< unset: 5 % of the filesystem
  std::string boot_id;            ///< empty: /proc/sys/kernel/random/boot_id
  metrics::StoreMetrics metrics;
};

/// What recovery found at start, for one log line.
struct RecoverySummary {
  size_t blobs = 0, snapshots = 0, leases = 0, holds = 0, volumes = 0, grants = 0;
  size_t kept_ingests = 0, dropped_ingests = 0, dropped_orphans = 0;
  std::chrono::milliseconds took{0};
};

/// Verified model files on one filesystem: blobs, ingests, snapshots, trees, leases (design: On
/// disk). The filesystem is the database; what is in memory is rebuilt by a scan of names at start.
/// Thread-safe. No lock is held over I/O that is longer than a rename.
class Store {
 public:
  /// Opens or creates the cache at `options.root` and becomes its only owner (a lock that dies with
  /// the process). kFailedPrecondition: not a directory, not writable, another owner (says its
  /// pid), a newer format, a filesystem without hard links: each with the way out. Removes what a
  /// crash left behind.
  static Result<std::unique_ptr<Store>> Open(io::Filesystem& filesystem, const Clock& clock,
                                             StoreOptions options);
  virtual ~Store() = default;

  virtual const std::string& root() const = 0;
  virtual const std::string& root_id() const = 0;
  virtual const RecoverySummary& recovery() const = 0;

  // Snapshots
  /// Records `listing` durably before its first byte; a snapshot already known is returned as it
  /// is. Files whose blob is here get it at once if the bytes were once fetched, verified, from
  /// this origin or from an anonymous one: a digest alone is no key to bytes.
  virtual Result<Snapshot> BeginSnapshot(const Listing& listing) = 0;
  /// The paths of the listing's files whose blob BeginSnapshot would find here. Records nothing.
  virtual std::set<std::string> UsableFiles(const Listing& listing) const = 0;
  virtual std::optional<Snapshot> FindSnapshot(const std::string& id) const = 0;
  /// The snapshot is complete, and nobody is evicting it.
  virtual bool IsWhole(const std::string& id) const = 0;
  /// Most recently used first.
  virtual std::vector<Snapshot> Snapshots() const = 0;
  /// Marks the snapshot complete once each file has its blob (else kFailedPrecondition names one
  /// that has not).
  virtual Result<> CompleteSnapshot(const std::string& id) = 0;
  /// The tree of a complete snapshot, made if missing: its path relative to the root. For kHub
  /// `requested_revision` is the name under refs/ (empty or a commit: none but the repository's
  /// commit directory).
  virtual Result<std::string> EnsureTree(const std::string& id, Layout layout,
                                         const std::string& requested_revision) = 0;
  /// The tree that EnsureTree would give, if it need not make it.
  virtual std::optional<std::string> FindTree(const std::string& id, Layout layout,
                                              const std::string& requested_revision) const = 0;
  /// The snapshot that the tree at `tree` (relative to the root, as EnsureTree gave it) shows;
  /// kNotFound if there is none.
  virtual Result<std::string> SnapshotOfTree(const std::string& tree) const = 0;
  /// Sets the last use to now (never backwards).
  virtual void Touch(const std::string& id) = 0;

  // Blobs
  /// Opens staging for a file of `size` bytes that is `identity` at its origin; goes on with what
  /// an earlier ingest of the same three left. `id`: 64 hex digits. kAlreadyExists while another
  /// ingest has that id.
  virtual Result<std::unique_ptr<Ingest>> StartIngest(const std::string& id,
                                                      const FileIdentity& identity, Bytes size) = 0;
  /// Re-reads a blob from the disk, past the page cache, and hashes it: nothing if right, else
  /// what it is instead (the blob is then in quarantine and its snapshots incomplete, or it says
  /// why not). `after_piece`, if set, hears how many bytes each piece had. It may wait, which holds
  /// a rate, and keeps no space from being freed; false stops with kCancelled. kNotFound: it is
  /// here no more, or is another file by now. Any other error says nothing of the blob.
  virtual Result<std::optional<BadBlob>> VerifyBlob(
      const Digest& sha256, const std::function<bool(Bytes)>& after_piece) = 0;
  /// A blob's bytes, for reading. kNotFound if it isn't here.
  virtual Result<UniqueFd> OpenBlob(const Digest& sha256) const = 0;
  /// The blobs of one snapshot, or all (empty id), with the "<snapshot id>/<path>" that show each.
  struct BlobUse {
    Digest sha256;
    Bytes size = 0;
    std::vector<std::string> paths;
  };
  virtual std::vector<BlobUse> Blobs(const std::string& snapshot_id) const = 0;

  // Quarantine
  virtual QuarantineSums Quarantined() const = 0;
  /// Removes what is in quarantine; returns the bytes freed. Nothing while a tree that was
  /// withdrawn is mounted: it may hold the very bytes. They also go once the blob is here again, or
  /// nobody lists it, and before anything is evicted or a reservation refused.
  virtual Bytes DropQuarantined() = 0;
  /// Removes of quarantine what nobody needs any more, and the withdrawn trees that no lease holds.
  /// To be called after leases ended, which leave that to it: it may take as long as removing large
  /// files does.
  virtual void TidyQuarantine() = 0;
  /// The leases on trees that were withdrawn because a blob in them proved bad: their pods read the
  /// bad bytes until the lease ends.
  virtual std::vector<LeaseRecord> DamagedLeases() const = 0;

  // Scrub
  /// What was recorded last; a state that can't be read is none. One caller at a time, as of
  /// RecordScrub. Survives the process, not a power cut.
  virtual ScrubState ReadScrub() = 0;
  virtual Result<> RecordScrub(const ScrubState& state) = 0;

  // References
  virtual Result<> RecordReference(const ReferenceRecord& record) = 0;
  virtual std::optional<ReferenceRecord> FindReference(const std::string& fingerprint) const = 0;
  virtual std::vector<ReferenceRecord> References() const = 0;

  // Layers
  /// Takes down which files a layer holds, which has proved to be what its digest, and the diff_id
  /// that was given for it, name; durable when it returns. `origin` is whose it is. The ones that
  /// were recorded longest ago are forgotten where there are too many.
  virtual Result<> RecordLayer(const LayerOrigin& origin, const LayerRecord& record) = 0;
  /// What was recorded of the layer as `origin` or a public one had it. Nothing: none, one that
  /// can't be read, or another diff_id. It grants nothing: ask for layers of manifests only that
  /// the caller was served.
  virtual std::optional<LayerRecord> FindLayer(const LayerOrigin& origin,
                                               const PackedLayer& layer) const = 0;

  // Grants
  /// Takes down that a credential may use an origin, as the origin's source just said; durable when
  /// it returns. (Its time is not written anew for less than five minutes.)
  virtual Result<> RecordGrant(const GrantUse& use) = 0;
  /// When the source was asked that said so last of these files; nothing: never, or it took that
  /// back, or it was too long ago.
  virtual std::optional<std::chrono::steady_clock::time_point> GrantAsked(
      const std::string& origin, std::string_view credential, std::string_view choice) const = 0;
  /// The source says that it may not, whichever files it was asked for. Unknown: fine. Durable when
  /// it returns; nobody is served by it after the call began, whatever it returns, nor by what the
  /// source was asked before.
  virtual Result<> DropGrant(const std::string& origin, std::string_view credential) = 0;
  /// Forgets those that were asked for before `time`.
  virtual void DropGrantsBefore(std::chrono::steady_clock::time_point time) = 0;

  /// 64 hexadecimal digits that stand for a secret in what is kept: the same for the same one in
  /// this cache, and nothing to who hasn't its key.
  virtual std::string DigestOfSecret(std::string_view secret) const = 0;

  // Leases
  /// Records a lease (replacing one of the same id); its snapshot can't be evicted from then on.
  /// kAborted: the tree that it names is no longer handed out.
  virtual Result<> TakeLease(const LeaseRecord& lease) = 0;
  /// The same for a tree that is mounted already, which may have been withdrawn since.
  virtual Result<> TakeLeaseOfMount(const LeaseRecord& lease) = 0;
  /// Unknown: fine. Frees nothing yet: see TidyQuarantine.
  virtual Result<> DropLease(const std::string& id) = 0;
  virtual std::optional<LeaseRecord> FindLease(const std::string& id) const = 0;
  virtual std::vector<LeaseRecord> Leases() const = 0;
  virtual const std::string& boot_id() const = 0;

  // Holds
  /// Keeps room for a volume until DropHold or `wanted.ends`: that of a snapshot, which is not idle
  /// from then on (`wanted.bytes` is not looked at), or else `wanted.bytes`. Evicts for it as
  /// Reserve does, with its errors. Durable when it returns. Of the same request again it returns
  /// the one that was taken, whose end stays; kAlreadyExists if the volume has another.
  virtual Result<HoldRecord> TakeHold(const HoldRecord& wanted) = 0;
  /// Unknown: fine.
  virtual Result<> DropHold(const std::string& volume_id) = 0;
  /// The volume is being published with that snapshot: what its hold keeps, if it has one, is that
  /// snapshot's room from now on. (Not durable.)
  virtual void ArriveForHold(const std::string& volume_id, const std::string& snapshot_id) = 0;
  virtual std::optional<HoldRecord> FindHold(const std::string& volume_id) const = 0;
  virtual std::vector<HoldRecord> Holds() const = 0;
  /// Drops those whose time is over; returns when the next one's will be, from now.
  virtual std::optional<std::chrono::steady_clock::duration> DropEndedHolds() = 0;

  // Volumes
  /// Records what was answered for a volume that has no record yet; durable when it returns.
  virtual Result<> RecordVolume(const VolumeRecord& volume) = 0;
  /// Unknown: fine. Durable when it returns; also takes back what a RecordVolume that failed left.
  virtual Result<> ForgetVolume(const std::string& volume_id) = 0;
  virtual std::optional<VolumeRecord> FindVolume(const std::string& volume_id) const = 0;
  /// Forgets those of before 30 days that no lease is of: their deletes got lost.
  virtual void ForgetOldVolumes() = 0;

  // Space
  /// What TakeHold would find at this moment for a snapshot of `listing`, were it begun now.
  virtual Result<ListingFit> FitOf(const Listing& listing) const = 0;
  /// Promises `bytes` to a fill, what its own ingests (those it will start, by id) have allocated
  /// included, out of what the snapshot's holds keep first; gives up other ingests that no fill
  /// has, and evicts idle snapshots, oldest first, as far as needed. kOutOfRange: can never fit
  /// (names limit and need); kResourceExhausted: not now, with the sums.
  virtual Result<Reservation> Reserve(Bytes bytes, const std::string& for_snapshot,
                                      const std::set<std::string>& ingest_ids) = 0;
  virtual Result<SpaceSums> Space() const = 0;
  /// Looks at every file of every snapshot, under the lock: for when somebody asks.
  virtual Usage UsageOfSnapshots() const = 0;
  /// From now on; both as in StoreOptions. Evicts nothing by itself, and what is promised stays
  /// promised.
  virtual Result<> SetLimits(Bytes limit, std::optional<Bytes> min_free) = 0;
  /// Gives up ingests that no fill has, then evicts idle snapshots, oldest first, until that is
  /// kept, or as far as it can: what is leased, kept, filling or promised stays.
  virtual Result<EvictedToFit> EvictToFit(FitTo fit_to) = 0;
  virtual Contents Count() const = 0;
  /// Removes an idle snapshot, its trees, and the blobs and ingests that no other snapshot lists;
  /// returns the bytes freed. kFailedPrecondition while leased, held, kept or filling, kNotFound if
  /// unknown.
  virtual Result<Bytes> Evict(const std::string& snapshot_id) = 0;
  /// Removes the snapshot if nothing ever came of it: it is idle and incomplete, no reference names
  /// it, and no bytes are here, or in quarantine, that would go with it.
  virtual void DropBare(const std::string& snapshot_id) = 0;
  /// From now on these snapshots, and no others, are kept: neither they nor what is staged of them
  /// is evicted for others' sake or by Evict. They need not be known yet. Not durable.
  virtual void SetKept(std::set<std::string> snapshot_ids) = 0;
  virtual std::set<std::string> Kept() const = 0;
  /// While held, the snapshot is filling: not evictable. (Not durable.)
  virtual std::shared_ptr<void> HoldForFill(const std::string& snapshot_id) = 0;
};

}  // namespace weighhouse::store
