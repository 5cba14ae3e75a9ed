#include "cache-daemon/fill/snapshot_fill.h"

#include <algorithm>
#include <utility>

namespace weighhouse::fill {

SnapshotFill::SnapshotFill(std::shared_ptr<const FillRequest> request,
                           std::chrono::steady_clock::time_point begun)
    : requests_{std::move(request)},
      begun_(begun),
      priority_(requests_.front()->priority),
      bytes_fetched_(requests_.front()->fetched_before) {}

bool SnapshotFill::AddRequest(std::shared_ptr<const FillRequest> request) {
  bool known = std::ranges::any_of(requests_, [&](const auto& other) {
    return other->credentials.values == request->credentials.values;
  });
  if (!known) requests_.push_back(std::move(request));
  return !known;
}

void SnapshotFill::AddObserver(std::weak_ptr<FillObserver> observer, FillEntry entry) {
  if (std::shared_ptr<FillObserver> listening = observer.lock()) listening->OnFillEntered(entry);
  observers_.push_back(std::move(observer));
}

void SnapshotFill::NotifyProgress(const FillProgress& progress) {
  std::erase_if(observers_, [](const auto& observer) { return observer.expired(); });
  for (const auto& weak : observers_) {
    if (std::shared_ptr<FillObserver> observer = weak.lock()) observer->OnFillProgress(progress);
  }
}

void SnapshotFill::NotifyDone(const Result<FillProgress>& outcome) {
  for (const auto& weak : std::exchange(observers_, {})) {
    if (std::shared_ptr<FillObserver> observer = weak.lock()) observer->OnFillDone(outcome);
  }
}

void SnapshotFill::Hold(store::Reservation reservation, std::shared_ptr<void> hold) {
  reservation_ = std::move(reservation);
  hold_ = std::move(hold);
}

void SnapshotFill::SetSnapshot(const store::Snapshot& snapshot) {
  waiting_.clear();
  bytes_total_ = snapshot.TotalBytes();
  bytes_present_ = snapshot.PresentBytes();
  files_total_ = snapshot.files.size();
  files_done_ = 0;
  std::set<std::pair<FileIdentity, Bytes>> seen;
  for (const store::SnapshotFile& file : snapshot.files) {
    if (file.blob) {
      ++files_done_;
    } else if (seen.emplace(file.listed.identity, file.listed.size).second) {
      waiting_.push_back(file.listed);
    }
  }
  // Large files first: the last one to end then is a small one, and no connection is left alone
  // with a shard.
  std::ranges::sort(waiting_, [](const ListedFile& a, const ListedFile& b) {
    return a.size != b.size ? a.size > b.size : a.path < b.path;
  });
}

std::optional<ListedFile> SnapshotFill::NextFile() {
  if (waiting_.empty()) return std::nullopt;
  ListedFile next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

void SnapshotFill::FileDone(const std::string& ingest_id, const ListedFile& file, Bytes fetched) {
  running_.erase(ingest_id);
  bytes_fetched_ += fetched;
  const std::vector<ListedFile>& files = request().listing.files;
  for (const ListedFile& other : files) {
    if (other.identity != file.identity || other.size != file.size) continue;
    bytes_present_ += other.size;
    ++files_done_;
  }
}

FillProgress SnapshotFill::Progress(Running running, std::chrono::steady_clock::time_point now) {
  Bytes done = std::min(bytes_total_, bytes_present_ + running.received);
  Bytes fetched = bytes_fetched_ + running.fetched;
  return {.bytes_total = bytes_total_,
          .bytes_done = done,
          .bytes_fetched = fetched,
          .bytes_per_second = rate_.Sample(now, fetched),
          .files_total = files_total_,
          .files_done = std::min(files_done_, files_total_),
          .connections = running.connections,
          .hosts = std::move(running.hosts),
          .waiting_for = std::move(running.waiting_for)};
}

}  // namespace weighhouse::fill
