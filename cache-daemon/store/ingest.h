#pragma once

#include <string>

#include "base/digest.h"
#include "cache-daemon/store/store_impl.h"

namespace weighhouse::store {

/// An ingest whose bytes are staged in `ingests/<id>/data`. The store outlives it. Commit may be
/// called again after it failed: it goes on where it stopped.
class StagedIngest final : public Ingest {
 public:
  /// Makes the staged file. The id is the caller's: nobody else has an ingest of it.
  static Result<std::unique_ptr<StagedIngest>> Create(StoreImpl& store, const std::string& id,
                                                      Bytes size);
  StagedIngest(StoreImpl& store, std::string id, Bytes size, io::OpenedFile file);
  ~StagedIngest() override;

  int fd() const override { return file_.fd.get(); }
  bool direct() const override { return file_.mode == io::IoMode::kDirect; }
  const std::string& path() const override { return path_; }
  const std::vector<ByteRange>& resumed() const override { return resumed_; }
  Result<> RecordDurable(const std::vector<ByteRange>&) override {
    return store_.filesystem_.SyncData(fd(), path_);
  }
  void Discard() override {}
  Result<> Commit(const std::string& snapshot_id, const FileIdentity& identity, Bytes size,
                  const Digest& sha256) override;

 private:
  enum class Step {
    kWriting,   ///< from the start: the caller writes
    kSynced,    ///< from kWriting: cut to its size, read-only, on the disk
    kPlaced,    ///< from kSynced: below blobs/ (or dropped, because the blob was there)
    kCommitted  ///< from kPlaced: durable and in the index
  };
  /// Refuses a commit that would record something untrue.
  Result<> CheckCommit(const std::string& snapshot_id, const FileIdentity& identity, Bytes size,
                       const Digest& sha256) const;
  Result<> CheckKnown(const std::string& snapshot_id, const FileIdentity& identity,
                      Bytes size) const;
  Result<> SyncStaged();
  Result<> Journal(const std::string& snapshot_id, const FileIdentity& identity,
                   const Digest& sha256);
  /// The directory of the blobs with these first two digits; the first such commit makes it.
  Result<> MakeBlobDirectory(const Digest& sha256);
  Result<> Place(const Digest& sha256);
  void Publish(const std::string& snapshot_id, const FileIdentity& identity, const Digest& sha256);

  StoreImpl& store_;
  const std::string id_;
  const Bytes size_;
  const std::string path_;
  io::OpenedFile file_;
  const std::vector<ByteRange> resumed_;
  Step step_ = Step::kWriting;
};

}  // namespace weighhouse::store
