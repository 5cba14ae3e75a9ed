#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/store/store.h"

namespace weighhouse::fill {

/// A store with one real staged file, which resumes what was recorded, and with one snapshot, which
/// is what BeginSnapshot was given. All else of a store is refused. Thread-safe.
class FakeStore final : public store::Store {
 public:
  explicit FakeStore(std::string path) : path_(std::move(path)) {}

  /// The staged file's content before the first ingest, and what of it is recorded.
  void Leave(std::string_view content, std::vector<ByteRange> recorded);
  const std::string& path() const { return path_; }
  std::vector<ByteRange> recorded() EXCLUDES(mutex_);
  /// What each RecordDurable was given.
  std::vector<std::vector<ByteRange>> recordings() EXCLUDES(mutex_);
  int discards() EXCLUDES(mutex_);
  std::optional<Digest> committed() EXCLUDES(mutex_);
  /// RecordDurable runs this first, and fails if it does.
  void OnRecord(std::function<Result<>()> action) { on_record_ = std::move(action); }

  Result<std::unique_ptr<store::Ingest>> StartIngest(const std::string& id,
                                                     const FileIdentity& identity,
                                                     Bytes size) override EXCLUDES(mutex_);
  Result<store::Snapshot> BeginSnapshot(const Listing& listing) override;
  Result<> CompleteSnapshot(const std::string&) override { return {}; }
  Result<store::Reservation> Reserve(Bytes, const std::string&,
                                     const std::set<std::string>&) override {
    return store::Reservation();
  }
  std::shared_ptr<void> HoldForFill(const std::string&) override { return nullptr; }

  const std::string& root() const override { return path_; }
  const std::string& root_id() const override { return path_; }
  const std::string& boot_id() const override { return path_; }
  const store::RecoverySummary& recovery() const override { return recovery_; }
  std::set<std::string> UsableFiles(const Listing&) const override { return {}; }
  std::optional<store::Snapshot> FindSnapshot(const std::string&) const override { return {}; }
  bool IsWhole(const std::string&) const override { return false; }
  std::vector<store::Snapshot> Snapshots() const override { return {}; }
  Result<std::string> EnsureTree(const std::string&, Layout, const std::string&) override {
    return Refused();
  }
  std::optional<std::string> FindTree(const std::string&, Layout,
                                      const std::string&) const override {
    return {};
  }
  Result<std::string> SnapshotOfTree(const std::string&) const override { return Refused(); }
  void Touch(const std::string&) override {}
  Result<std::optional<store::BadBlob>> VerifyBlob(const Digest&,
                                                   const std::function<bool(Bytes)>&) override {
    return Refused();
  }
  store::QuarantineSums Quarantined() const override { return {}; }
  Bytes DropQuarantined() override { return 0; }
  void TidyQuarantine() override {}
  store::ScrubState ReadScrub() override { return {}; }
  Result<> RecordScrub(const store::ScrubState&) override { return Refused(); }
  std::vector<store::LeaseRecord> DamagedLeases() const override { return {}; }
  Result<UniqueFd> OpenBlob(const Digest&) const override { return Refused(); }
  std::vector<BlobUse> Blobs(const std::string&) const override { return {}; }
  Result<> RecordReference(const store::ReferenceRecord&) override { return Refused(); }
  std::optional<store::ReferenceRecord> FindReference(const std::string&) const override {
    return {};
  }
  std::vector<store::ReferenceRecord> References() const override { return {}; }
  Result<> TakeLease(const store::LeaseRecord&) override { return Refused(); }
  Result<> TakeLeaseOfMount(const store::LeaseRecord&) override { return Refused(); }
  Result<> DropLease(const std::string&) override { return Refused(); }
  std::optional<store::LeaseRecord> FindLease(const std::string&) const override { return {}; }
  std::vector<store::LeaseRecord> Leases() const override { return {}; }
  Result<store::HoldRecord> TakeHold(const store::HoldRecord&) override { return Refused(); }
  Result<> DropHold(const std::string&) override { return Refused(); }
  void ArriveForHold(const std::string&, const std::string&) override {}
  std::optional<store::HoldRecord> FindHold(const std::string&) const override { return {}; }
  std::vector<store::HoldRecord> Holds() const override { return {}; }
  std::optional<std::chrono::steady_clock::duration> DropEndedHolds() override { return {}; }
  Result<> RecordVolume(const store::VolumeRecord&) override { return Refused(); }
  Result<> ForgetVolume(const std::string&) override { return Refused(); }
  std::optional<store::VolumeRecord> FindVolume(const std::string&) const override { return {}; }
  void ForgetOldVolumes() override {}
  Result<> RecordLayer(const store::LayerOrigin&, const store::LayerRecord&) override {
    return Refused();
  }
  std::optional<store::LayerRecord> FindLayer(const store::LayerOrigin&,
                                              const PackedLayer&) const override {
    return {};
  }
  Result<> RecordGrant(const store::GrantUse&) override { return Refused(); }
  std::optional<std::chrono::steady_clock::time_point> GrantAsked(const std::string&,
                                                                  std::string_view,
                                                                  std::string_view) const override {
    return {};
  }
  Result<> DropGrant(const std::string&, std::string_view) override { return Refused(); }
  void DropGrantsBefore(std::chrono::steady_clock::time_point) override {}
  std::string DigestOfSecret(std::string_view) const override { return ""; }
  Result<store::ListingFit> FitOf(const Listing&) const override { return Refused(); }
  Result<store::SpaceSums> Space() const override { return Refused(); }
  store::Usage UsageOfSnapshots() const override { return {}; }
  void SetKept(std::set<std::string>) override {}
  std::set<std::string> Kept() const override { return {}; }
  Result<> SetLimits(Bytes, std::optional<Bytes>) override { return Refused(); }
  Result<store::EvictedToFit> EvictToFit(store::FitTo) override { return Refused(); }
  store::Contents Count() const override { return {}; }
  Result<Bytes> Evict(const std::string&) override { return Refused(); }
  void DropBare(const std::string&) override {}

 private:
  class StagedIngest;
  static std::unexpected<Error> Refused() { return Fail(Code::kUnimplemented, "a fake"); }

  const std::string path_;
  const store::RecoverySummary recovery_;
  std::function<Result<>()> on_record_;
  Mutex mutex_;
  bool busy_ GUARDED_BY(mutex_) = false;
  std::vector<ByteRange> recorded_ GUARDED_BY(mutex_);
  std::vector<std::vector<ByteRange>> recordings_ GUARDED_BY(mutex_);
  int discards_ GUARDED_BY(mutex_) = 0;
  std::optional<Digest> committed_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::fill
