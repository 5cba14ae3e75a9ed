#include "cache-daemon/fill/file_askers.h"

#include <algorithm>
#include <utility>

namespace weighhouse::fill {

bool IsDenial(const Error& error) {
  return error.code == Code::kUnauthenticated || error.code == Code::kPermissionDenied;
}

bool IsRefusal(const Error& error) {
  // A source that hides what one may not see says "not found".
  return IsDenial(error) || error.code == Code::kNotFound;
}

void FileAskers::Add(std::shared_ptr<const FillRequest> request, const ListedFile& file) {
  auto same = std::ranges::find_if(request->listing.files, [&](const ListedFile& listed) {
    return listed.identity == file.identity && listed.size == file.size;
  });
  ListedFile named = same == request->listing.files.end() ? file : *same;
  askers_.push_back({.request = std::move(request), .file = std::move(named), .failure = {}});
}

const std::string& FileAskers::OriginOf(size_t index) const {
  return askers_[index].request->listing.origin;
}

bool FileAskers::HasOrigin(const std::string& origin) const {
  return std::ranges::any_of(
      askers_, [&](const Asker& asker) { return asker.request->listing.origin == origin; });
}

std::optional<size_t> FileAskers::NextOrigin() const {
  for (size_t step = 1; step < askers_.size(); ++step) {
    size_t index = (current_ + step) % askers_.size();
    if (!askers_[index].failure && OriginOf(index) != OriginOf(current_)) return index;
  }
  return std::nullopt;
}

bool FileAskers::MoveOn(const Error& error) {
  const std::string origin = current_origin();
  for (size_t i = 0; i < askers_.size(); ++i) {
    Asker& asker = askers_[i];
    bool concerned = i == current_ || (!IsRefusal(error) && OriginOf(i) == origin);
    if (concerned && !asker.failure) asker.failure = Error(error).Within(asker.file.path);
  }
  ExcuseSlowness();
  auto next = std::ranges::find_if(askers_, [](const Asker& asker) { return !asker.failure; });
  if (next == askers_.end()) return false;
  current_ = static_cast<size_t>(next - askers_.begin());
  return true;
}

bool FileAskers::MoveOnIfSlow(Time now, Bytes fetched) {
  std::optional<size_t> next = NextOrigin();
  if (!next) ExcuseSlowness();
  if (!measured_since_) {
    measured_since_ = now;
    fetched_before_ = fetched;
  }
  std::chrono::duration<double> span = now - *measured_since_;
  if (!next || span < window_) return false;
  ExcuseSlowness();
  double rate = std::max(1.0, static_cast<double>(fetched - fetched_before_) / span.count());
  askers_[current_].bytes_per_second = rate;
  double known = askers_[*next].bytes_per_second;
  if (rate >= kFastEnough || (known > 0 && known < 2 * rate)) return false;
  current_ = *next;
  return true;
}

std::optional<Error> FileAskers::FailureOf(const std::string& snapshot_id) const {
  std::optional<Error> failure;
  for (const Asker& asker : askers_) {
    if (asker.request->snapshot_id != snapshot_id || !asker.failure) continue;
    // What one is refused isn't said to another who wasn't: it would lose its rights by it.
    if (!failure || IsRefusal(*failure)) failure = asker.failure;
  }
  return failure;
}

}  // namespace weighhouse::fill
