#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include "base/log_format.h"
#include "cache-daemon/fill/file_askers.h"
#include "cache-daemon/fill/file_assembly.h"
#include "cache-daemon/fill/file_preparation.h"
#include "cache-daemon/fill/file_ranges.h"
#include "cache-daemon/fill/hedge_pause.h"
#include "cache-daemon/fill/least_rate.h"

namespace weighhouse::fill {

/// Brings one file: locates it, fetches its ranges in file order inside a sliding window, those
/// that an earlier attempt left excepted, over as many connections as the governor lets it have,
/// retries what fails, hedges a first range that lags, checks the digest and commits the blob. A
/// wrong digest or a server whose answers don't fit together costs the staged bytes and one fresh
/// start, then it is an error. An error is the end only where no other asker is left. On the
/// strand, but for what it posts to the workers. Held by shared_ptr: tasks under way keep it.
class FileFill : public RangeOwner,
                 public ConnectionUser,
                 public BandwidthUser,
                 public std::enable_shared_from_this<FileFill> {
 public:
  /// Called once, with the bytes committed as a blob or the reason why not.
  using Done = std::function<void(Result<>)>;

  FileFill(std::shared_ptr<FillContext> context, ListedFile file, std::string ingest_id, Done done);

  /// Somebody who wants this file. It is fetched for the first one, and where that fails, for the
  /// next.
  void AddAsker(std::shared_ptr<const FillRequest> asker) { askers_.Add(std::move(asker), file_); }
  /// At least `priority` from now on.
  void RaisePriority(FillPriority priority);
  void Start();
  /// Ends everything without calling `done`.
  void Stop();
  /// Lets ranges that found no buffer try again, the lowest first.
  void ResumePaused();
  /// About every 100 ms: looks whether the range that the hasher waits for lags, and whether the
  /// source brings too little.
  void Tick();

  /// Present so far, those from before included.
  Bytes received() const { return received_; }
  /// Of the file's bytes, those that were here before this fill.
  Bytes resumed() const { return resumed_; }
  const ListedFile& file() const { return file_; }
  const FileAskers& askers() const { return askers_; }
  const std::string& waiting_for() const { return waiting_for_; }
  FillPriority priority() const { return priority_; }
  size_t connections() const { return context_->governor.InUse(*this); }
  /// The host that it comes from; nothing while that isn't known.
  std::optional<HostConnections> host() const { return context_->governor.HostOf(*this); }

  bool AcceptBytes(RangeTransfer& range, std::span<const std::byte> bytes) override;
  void RangeEnded(RangeTransfer& range, const source::TransferEnd& end) override;
  void HedgeSettled(Hedge outcome) override;
  void OnConnectionFree() override { Pump(); }
  void OnYield() override;
  void OnBandwidth() override { ranges_.ResumeInTurn(); }

 private:
  void Prepare(Want want);
  void OnPrepared(PreparedFile prepared);
  void OnPrepareFailed(const Error& error, Want want);
  void BeginAssembly(std::unique_ptr<store::Ingest> ingest);
  void Claim();
  bool Expired() const { return context_->parts.clock.Steady() >= location_.expires_at; }
  /// Starts what may be started now.
  void Pump();
  /// At most so long a next range is.
  Bytes RangeBytes() const;
  /// How far ahead of the hasher ranges may begin.
  Bytes WindowEnd() const;
  BandwidthLimit::Claim BandwidthClaim() const {
    return {.fill = askers_.first().request->snapshot_id, .priority = priority_};
  }
  metrics::SourceKind source_kind() const { return askers_.current().request->source_kind(); }
  /// Why the source isn't waited for any longer, if it brings too little.
  std::optional<Error> TooSlow();
  bool MayTakeBytes();
  /// What is missing of the range begins with a whole piece again.
  void Rewind(RangeTransfer& range);
  /// Ends the range's transfer; the range waits to be started again.
  void PutBack(RangeTransfer& range);
  void RetryRange(RangeTransfer& range, const Error& error);
  void OnRangeRefused(RangeTransfer& range, Error error, int http_status);
  void StartAfresh(const Error& reason);
  /// The current asker can't have the file: the next one's turn, or the end.
  void GiveUp(Error error);
  /// The bytes come from another origin from now on.
  void ChangeOrigin(std::string_view reason);
  void DropAttempt();
  void OnAssembled();
  void Commit(const Digest& sha256);
  void Finish(Result<> outcome);
  void LeaveOthers();
  void After(std::chrono::milliseconds delay, std::function<void(FileFill&)> task);
  /// Logs what happened to it, as a part of the request that it is fetched for.
  void Say(LogLevel level, std::string_view what,
           std::source_location where = std::source_location::current()) const;

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const ListedFile file_;
  const std::string ingest_id_;
  Done done_;
  FileAskers askers_;
  /// Counts fresh starts: what an earlier attempt still reports is ignored.
  uint64_t attempt_ = 0;
  bool finished_ = false;
  bool locating_ = false;
  uint64_t prepares_ = 0;  ///< only the last one's outcome counts
  bool located_ = false;
  bool whole_file_ = false;  ///< the server ignores Range: one transfer, from the start
  int fresh_starts_ = 0;
  bool mixed_ = false;    ///< some of what is present came from another origin
  bool excused_ = false;  ///< a fresh start because of resumed or mixed bytes is not counted, once
  int prepare_failures_ = 0;
  int refusals_ = 0;      ///< 401/403 answers with less than LeastRate::kLeast between them
  Bytes refused_at_ = 0;  ///< of fetched_, when the last one came
  LeastRate least_rate_;
  source::FileLocation location_;
  int location_generation_ = 0;
  std::shared_ptr<FileAssembly> assembly_;  // shared with its writes and hashes under way
  FileRanges ranges_;
  FillPriority priority_ = FillPriority::kPrefetch;
  HedgePause hedge_pause_;
  Bytes received_ = 0;
  bool range_ignored_ = false;  ///< a server that had sent ranges sent the whole file instead, once
  Bytes fetched_ = 0;           ///< over the network, in all attempts
  Bytes resumed_ = 0;
  std::string waiting_for_;
};

}  // namespace weighhouse::fill
