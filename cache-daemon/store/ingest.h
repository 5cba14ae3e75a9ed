#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "cache-daemon/store/ingest_state.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {

/// An ingest whose bytes are staged in `ingests/<id>/data`. The store outlives it. Commit may be
/// called again after it failed: it goes on where it stopped.
///
/// Invariant: what `ingests/<id>/state` lists was synced before it was listed.
class StagedIngest final : public Ingest {
 public:
  /// Makes the staged file, in place of whatever is there. The id is the caller's: nobody else has
  /// an ingest of it.
  static Result<std::unique_ptr<StagedIngest>> Create(StoreImpl& store, const std::string& id,
                                                      const IngestContent& content);
  /// Goes on with the staged file that is there. kDataLoss or kNotFound: it is none of `content`
  /// that can be gone on with.
  static Result<std::unique_ptr<StagedIngest>> Resume(StoreImpl& store, const std::string& id,
                                                      const IngestContent& content);
  StagedIngest(StoreImpl& store, std::string id, IngestContent content, io::OpenedFile file,
               std::vector<ByteRange> resumed);
  ~StagedIngest() override;

  int fd() const override { return file_.fd.get(); }
  bool direct() const override { return file_.mode == io::IoMode::kDirect; }
  const std::string& path() const override { return path_; }
  const std::vector<ByteRange>& resumed() const override { return resumed_; }
  Result<Bytes> ShareBlocks(int from) override;
  Result<> RecordDurable(const std::vector<ByteRange>& written) override;
  void Discard() override { discarded_ = true; }
  Result<> Seal() override;
  Result<> Commit(const std::string& snapshot_id, const FileIdentity& identity, Bytes size,
                  const Digest& sha256) override;

 private:
  enum class Step {
    kWriting,   ///< from the start: the caller writes
    kSynced,    ///< from kWriting: cut to its size, read-only, on the disk
    kPlaced,    ///< from kSynced: below blobs/ (or dropped, because the blob was there)
    kCommitted  ///< from kPlaced: durable and in the index
  };
  /// Leaves the staged bytes for a later ingest; false if there is nothing that one could use.
  bool Leave();
  void Remove();
  /// Refuses a commit that would record something untrue.
  Result<> CheckCommit(const std::string& snapshot_id, const FileIdentity& identity, Bytes size,
                       const Digest& sha256) const;
  Result<> CheckKnown(const std::string& snapshot_id, const FileIdentity& identity,
                      Bytes size) const;
  Result<> SyncData();
  Result<> SyncStaged();
  Result<> Journal(const std::string& snapshot_id, const FileIdentity& identity,
                   const Digest& sha256);
  /// The directory of the blobs with these first two digits; the first such commit makes it.
  Result<> MakeBlobDirectory(const Digest& sha256);
  Result<> Place(const Digest& sha256);
  void Publish(const std::string& snapshot_id, const FileIdentity& identity, const Digest& sha256);

  StoreImpl& store_;
  const std::string id_;
  const IngestContent content_;
  const Bytes size_;
  const std::string path_;
  io::OpenedFile file_;
  std::vector<ByteRange> resumed_;
  bool state_written_ = false;  // there may be a state on the disk
  bool recorded_ = false;       // there is one, durably
  bool discarded_ = false;      // the bytes are wrong
  std::optional<Error> lost_;   // a sync failed: what it should have written may be lost for good
  Step step_ = Step::kWriting;
};

}  // namespace weighhouse::store
