#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "cache-daemon/fill/fill_context.h"

namespace weighhouse::fill {

/// The staged file of one assembly, and how much of it a crash would cost: has the store record
/// what is written whenever kMaxUnrecorded bytes or kMaxDelay have gathered, on a worker, one
/// recording at a time. Used on the strand. Held by shared_ptr, because a recording under way
/// keeps it.
class StagedFile : public std::enable_shared_from_this<StagedFile> {
 public:
  static constexpr Bytes kMaxUnrecorded = 64 * kMiB;
  static constexpr std::chrono::seconds kMaxDelay{5};

  /// `present`: what of the ingest is used as it is; recorded already.
  StagedFile(std::shared_ptr<FillContext> context, std::unique_ptr<store::Ingest> ingest,
             const std::vector<ByteRange>& present);
  /// The staged bytes go, or stay to be resumed, as the ingest has it.
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  store::Ingest& ingest() { return *ingest_; }
  /// `range` is written completely. Given once.
  void Add(ByteRange range);
  /// Of the given bytes, those that a recording was over with.
  Bytes settled() const { return settled_; }
  /// A recording is under way: nobody else may use the ingest but for its descriptor. It ends with
  /// `on_recorded`.
  bool recording() const { return recording_; }
  void set_on_recorded(std::function<void()> on_recorded) { on_recorded_ = std::move(on_recorded); }

  /// From now on nothing is recorded: the bytes are being committed.
  void Close() { closed_ = true; }
  /// Also closes; when this object goes, so do the staged bytes: they are wrong.
  void Discard() { closed_ = discarded_ = true; }

  /// Nothing more is written: records the rest now, and then lets the file go.
  void End();
  /// The same on the calling thread, when the workers are gone and the strand has nothing left to
  /// do.
  void RecordLast();

 private:
  bool HasNews() const { return !closed_ && unrecorded_ > 0; }
  void RecordIfDue();
  void Record();
  std::vector<ByteRange> Written() const;
  void OnRecorded(Bytes bytes, const Result<>& outcome);

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const std::unique_ptr<store::Ingest> ingest_;
  std::function<void()> on_recorded_;
  std::map<Bytes, Bytes> written_;  // begin → end, apart from each other
  Bytes unrecorded_ = 0;
  Bytes settled_ = 0;
  bool recording_ = false;
  bool timer_armed_ = false;
  bool ending_ = false;
  bool closed_ = false;
  bool discarded_ = false;
  bool warned_ = false;
};

}  // namespace weighhouse::fill
