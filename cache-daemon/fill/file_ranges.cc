#include "cache-daemon/fill/file_ranges.h"

#include <algorithm>
#include <ranges>

namespace weighhouse::fill {

void FileRanges::Reset(std::vector<ByteRange> missing) {
  for (RangeTransfer& range : ranges_) range.Cancel();
  ranges_.clear();
  missing_.assign(missing.begin(), missing.end());
}

RangeTransfer* FileRanges::FirstIdle() {
  auto found = std::ranges::find(ranges_, RangeTransfer::State::kIdle, &RangeTransfer::state);
  return found == ranges_.end() ? nullptr : &*found;
}

bool FileRanges::CanCut(Bytes window_end) const {
  return !missing_.empty() && missing_.front().begin < window_end;
}

RangeTransfer& FileRanges::Cut(Bytes size) {
  ByteRange& left = missing_.front();
  // Ranges end where pieces do, so that no two write into one.
  Bytes end = std::min(left.end, (left.begin / size + 1) * size);
  RangeTransfer& range =
      ranges_.emplace_back(owner_, transport_, ByteRange{.begin = left.begin, .end = end});
  left.begin = end;
  if (left.size() == 0) missing_.pop_front();
  return range;
}

void FileRanges::Erase(const RangeTransfer& range) {
  ranges_.remove_if([&](const RangeTransfer& other) { return &other == &range; });
}

void FileRanges::ForgetFailures() {
  for (RangeTransfer& range : ranges_) range.ForgetFailures();
}

RangeTransfer* FileRanges::InBackoff(Bytes begin) {
  for (RangeTransfer& range : ranges_) {
    if (range.state() == RangeTransfer::State::kBackoff && range.range().begin == begin) {
      return &range;
    }
  }
  return nullptr;
}

RangeTransfer* FileRanges::LastRunning() {
  for (RangeTransfer& range : std::views::reverse(ranges_)) {
    if (range.running() && &range != Head()) return &range;
  }
  return nullptr;
}

bool FileRanges::AnyActive() const {
  return std::ranges::any_of(ranges_, [](const RangeTransfer& range) {
    return range.state() == RangeTransfer::State::kActive;
  });
}

void FileRanges::Resume() {
  for (RangeTransfer& range : ranges_) range.Resume();
}

void FileRanges::ResumeInTurn() {
  if (ranges_.empty()) return;
  auto first = std::next(ranges_.begin(), static_cast<std::ptrdiff_t>(turn_++ % ranges_.size()));
  for (auto range = first; range != ranges_.end(); ++range) range->Resume();
  for (auto range = ranges_.begin(); range != first; ++range) range->Resume();
}

}  // namespace weighhouse::fill
