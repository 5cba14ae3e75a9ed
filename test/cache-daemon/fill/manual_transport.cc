#include "test/cache-daemon/fill/manual_transport.h"

#include <algorithm>

namespace weighhouse::fill {
namespace {

constexpr Bytes kChunk = 3000;  // no divisor of a piece

}  // namespace

void ManualTransport::PostAfter(std::chrono::milliseconds delay, std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    tasks_.emplace(now_ + delay, std::move(task));
  }
  changed_.NotifyAll();
}

void ManualTransport::Advance(std::chrono::milliseconds duration) {
  MutexLock lock(mutex_);
  now_ += duration;
}

bool ManualTransport::RunOneTask() {
  std::function<void()> task;
  {
    MutexLock lock(mutex_);
    if (tasks_.empty() || tasks_.begin()->first > now_) return false;
    task = std::move(tasks_.begin()->second);
    tasks_.erase(tasks_.begin());
  }
  task();
  return true;
}

void ManualTransport::RunTasks() {
  while (RunOneTask()) continue;
}

bool ManualTransport::RunUntil(const std::function<bool()>& done) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!done()) {
    if (RunOneTask() || ServeOne()) continue;
    MutexLock lock(mutex_);
    while (tasks_.empty() || tasks_.begin()->first > now_) {
      if (skips_waits_ && !tasks_.empty()) {
        now_ = tasks_.begin()->first;
        break;
      }
      if (!changed_.WaitUntil(lock, deadline)) return false;
    }
  }
  return true;
}

source::TransferId ManualTransport::Start(const source::FileLocation&,
                                          std::optional<ByteRange> range,
                                          source::TransferSink& sink) {
  asked_.push_back(range);
  ByteRange whole{.begin = 0, .end = content_.size()};
  ByteRange wanted = range.value_or(whole);
  transfers_.emplace(
      next_id_,
      Transfer{
          .sink = sink, .range = wanted, .position = wanted.begin, .ranged = range.has_value()});
  return next_id_++;
}

void ManualTransport::Resume(source::TransferId id) {
  auto found = transfers_.find(id);
  if (found != transfers_.end()) found->second.paused = false;
}

void ManualTransport::EndAll(const source::TransferEnd& end) {
  while (!transfers_.empty()) {
    source::TransferSink& sink = transfers_.begin()->second.sink;
    transfers_.erase(transfers_.begin());
    sink.OnEnd(end);
  }
}

std::map<source::TransferId, ManualTransport::Transfer>::iterator ManualTransport::NextToServe() {
  auto ready = [&](const auto& entry) {
    const Transfer& transfer = entry.second;
    bool ends = !ends_.empty() || transfer.position == transfer.range.end ||
                (end_of_each_ && transfer.brought);
    return !transfer.paused && transfer.range.begin != stalled_ && (ends || allowed_ != 0);
  };
  auto next = std::find_if(transfers_.upper_bound(last_served_), transfers_.end(), ready);
  return next != transfers_.end() ? next : std::ranges::find_if(transfers_, ready);
}

/// One step of the next transfer that can have one.
bool ManualTransport::ServeOne() {
  auto next = NextToServe();
  if (next == transfers_.end()) return false;
  last_served_ = next->first;
  Transfer& transfer = next->second;
  source::TransferSink& sink = transfer.sink;
  if (!ends_.empty()) {
    source::TransferEnd end = std::move(ends_.front());
    ends_.pop_front();
    transfers_.erase(next);
    sink.OnEnd(end);
  } else if (end_of_each_ && transfer.brought) {
    transfers_.erase(next);
    sink.OnEnd(*end_of_each_);
  } else if (transfer.ranged && ignores_ranges_) {
    transfers_.erase(next);
    sink.OnEnd({.status = Fail(Code::kUnimplemented, "no ranges here"), .http_status = 200});
  } else if (transfer.position == transfer.range.end) {
    transfers_.erase(next);
    sink.OnEnd({.status = {}, .http_status = 206});
  } else {
    Bytes count = std::min(kChunk, transfer.range.end - transfer.position);
    std::string_view bytes = std::string_view(content_).substr(transfer.position, count);
    // A sink that takes them may start other transfers, but end none from within.
    bool taken = sink.OnBytes(std::as_bytes(std::span(bytes)));
    transfer.paused = !taken;
    if (!taken) return true;
    transfer.position += count;
    transfer.brought = true;
    if (allowed_) --*allowed_;
  }
  return true;
}

}  // namespace weighhouse::fill
