#include "cache-daemon/fill/staged_file.h"

#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace weighhouse::fill {

StagedFile::StagedFile(std::shared_ptr<FillContext> context, std::unique_ptr<store::Ingest> ingest,
                       const std::vector<ByteRange>& present)
    : context_(std::move(context)), ingest_(std::move(ingest)) {
  for (const ByteRange& range : present) written_[range.begin] = range.end;
}

StagedFile::~StagedFile() {
  if (discarded_) ingest_->Discard();
}

void StagedFile::Add(ByteRange range) {
  unrecorded_ += range.size();
  auto next = written_.lower_bound(range.begin);
  if (next != written_.end() && next->first == range.end) {
    range.end = next->second;
    next = written_.erase(next);
  }
  if (next != written_.begin() && std::prev(next)->second == range.begin) {
    std::prev(next)->second = range.end;
  } else {
    written_.emplace_hint(next, range.begin, range.end);
  }
  RecordIfDue();
}

std::vector<ByteRange> StagedFile::Written() const {
  std::vector<ByteRange> ranges;
  ranges.reserve(written_.size());
  for (const auto& [begin, end] : written_) ranges.push_back({.begin = begin, .end = end});
  return ranges;
}

void StagedFile::RecordIfDue() {
  if (!HasNews() || recording_ || context_->stopped) return;
  if (unrecorded_ >= kMaxUnrecorded) return Record();
  if (std::exchange(timer_armed_, true)) return;
  context_->parts.transport.PostAfter(kMaxDelay, [weak = weak_from_this()] {
    std::shared_ptr<StagedFile> self = weak.lock();
    if (!self) return;
    self->timer_armed_ = false;
    self->Record();
  });
}

void StagedFile::End() {
  ending_ = true;
  Record();
}

void StagedFile::Record() {
  if (!HasNews() || recording_ || context_->stopped) return;
  recording_ = true;
  // The job lets go of the file on the strand, not when the worker drops it.
  auto job = [self = shared_from_this(), bytes = unrecorded_, written = Written()]() mutable {
    Result<> outcome = self->ingest_->RecordDurable(written);
    source::Transport& transport = self->context_->parts.transport;
    transport.Post([self = std::move(self), bytes, outcome = std::move(outcome)] {
      self->OnRecorded(bytes, outcome);
    });
  };
  context_->workers->Post(std::move(job));
}

void StagedFile::OnRecorded(Bytes bytes, const Result<>& outcome) {
  recording_ = false;
  // Also after a failure: the next recording names these bytes again, and has its time.
  unrecorded_ -= bytes;
  settled_ += bytes;
  if (!outcome && !std::exchange(warned_, true)) {
    LogRepeated(LogLevel::kWarning, fmt::format("fill: a restart would fetch {} again: {}",
                                                ingest_->path(), outcome.error().message));
  }
  if (ending_) return Record();
  RecordIfDue();
  if (on_recorded_) on_recorded_();
}

void StagedFile::RecordLast() {
  if (!HasNews()) return;
  Result<> outcome = ingest_->RecordDurable(Written());
  if (!outcome) LogRepeated(LogLevel::kWarning, fmt::format("fill: {}", outcome.error().message));
}

}  // namespace weighhouse::fill
