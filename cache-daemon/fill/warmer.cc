#include "cache-daemon/fill/warmer.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/log.h"
#include "base/thread.h"

namespace weighhouse::fill {
namespace {

/// So much is asked for at a time: what is asked for can't be stopped.
constexpr Bytes kPiece = 8 * kMiB;
/// After so much the memory is looked at again.
constexpr Bytes kLook = 64 * kMiB;
constexpr int kLowestPriority = 19;

}  // namespace

Warmer::Warmer(store::Store& store, Figures figures) : store_(store), figures_(std::move(figures)) {
  thread_ = StartThread("warm", [this](const std::stop_token& stop) { Run(stop); });
}

Warmer::~Warmer() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  thread_.request_stop();
  changed_.NotifyAll();
}

void Warmer::Warm(std::string snapshot_id) {
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(snapshot_id));
  }
  changed_.NotifyAll();
}

void Warmer::Run(const std::stop_token& stop) {
  // Of this thread; the priority of its reads follows from it. Without, it is only less polite.
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, kLowestPriority));
  while (true) {
    std::string snapshot_id;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) changed_.Wait(lock);
      if (stopping_) return;
      snapshot_id = std::move(queue_.front());
      queue_.pop_front();
    }
    WarmSnapshot(snapshot_id, stop);
  }
}

bool Warmer::Allowed(Bytes bytes, const std::string& what) {
  Result<MemoryFigures> figures = figures_();
  if (!figures) {
    LogRepeated(LogLevel::kWarning, fmt::format("warm {}: {}", what, figures.error().message));
    return false;
  }
  WarmDecision decision = MayWarm(bytes, *figures);
  if (decision == WarmDecision::kNoRoom) {
    LogRepeated(LogLevel::kInfo,
                fmt::format("warm {}: not read ahead: {} to read, {} of {} are available", what,
                            FormatBytes(bytes), FormatBytes(figures->available),
                            FormatBytes(figures->total)));
  }
  if (decision == WarmDecision::kLimited && !std::exchange(said_limited_, true)) {
    spdlog::info(
        "fill.warm is without effect: the page cache would count against the memory limit of {} "
        "of this process' control group",
        FormatBytes(*figures->cgroup_limit));
  }
  return decision == WarmDecision::kWarm;
}

void Warmer::WarmSnapshot(const std::string& snapshot_id, const std::stop_token& stop) {
  std::vector<store::Store::BlobUse> blobs = store_.Blobs(snapshot_id);
  std::erase_if(blobs, [&](const auto& blob) { return warmed_.contains(blob.sha256); });
  Bytes bytes = 0;
  for (const auto& blob : blobs) bytes += blob.size;
  // All or nothing: a pod reads all of a model.
  if (bytes == 0 || !Allowed(bytes, snapshot_id)) return;
  for (const auto& blob : blobs) {
    if (!WarmBlob(blob, stop)) return;
    warmed_.insert(blob.sha256);
  }
  LogEvent(LogLevel::kInfo, fmt::format("warm {}: {} read ahead", snapshot_id, FormatBytes(bytes)));
}

bool Warmer::WarmBlob(const store::Store::BlobUse& blob, const std::stop_token& stop) {
  Result<UniqueFd> file = store_.OpenBlob(blob.sha256);
  if (!file) {
    spdlog::debug("warm {}: {}", blob.sha256.Hex(), file.error().message);  // evicted meanwhile
    return true;
  }
  for (Bytes begin = 0; begin < blob.size; begin += kPiece) {
    if (stop.stop_requested()) return false;
    bool look = begin % kLook == 0;
    if (look && !Allowed(std::min(kLook, blob.size - begin), blob.sha256.Hex())) return false;
    auto length = static_cast<off_t>(std::min(kPiece, blob.size - begin));
    int failed =
        ::posix_fadvise(file->get(), static_cast<off_t>(begin), length, POSIX_FADV_WILLNEED);
    if (failed == 0) continue;
    LogRepeated(LogLevel::kWarning,
                fmt::format("warm: {}", FailErrno(failed, "read ahead").error().message));
    return false;
  }
  return true;
}

}  // namespace weighhouse::fill
