#include "test/cache-daemon/fill/simulated_network.h"

namespace weighhouse::fill {

void SimulatedNetwork::File::Pump() {
  // A range in back-off is one that isn't fetched meanwhile.
  while (ranges_.size() + backoffs_.size() < most_) {
    std::unique_ptr<Connection> connection = network_.governor.TryTake(*this);
    if (!connection) return;
    size_t open = network_.governor.total_in_use();
    Bytes expected = network_.governor.ExpectedConnections(*this);
    Bytes size =
        std::clamp<Bytes>(64 * kMiB / expected / (2 * kMiB) * (2 * kMiB), 2 * kMiB, 8 * kMiB);
    ranges_.push_back({.connection = std::move(connection),
                       .wait = network_.link.first_byte,
                       .left = static_cast<double>(size),
                       .refused = open > network_.link.refuse_above});
  }
  network_.governor.StopWanting(*this);
}

std::vector<SimulatedNetwork::File::Range*> SimulatedNetwork::Active() {
  std::vector<File::Range*> active;
  for (auto& file : files) {
    for (File::Range& range : file->ranges_) {
      if (range.wait <= kStep) active.push_back(&range);
    }
  }
  return active;
}

void SimulatedNetwork::Move(File& file, double bytes_each) {
  for (auto& wait : file.backoffs_) wait -= kStep;
  std::erase_if(file.backoffs_, [](auto wait) { return wait.count() <= 0; });
  for (auto range = file.ranges_.begin(); range != file.ranges_.end();) {
    auto next = std::next(range);
    range->wait -= kStep;
    if (range->wait.count() <= 0 && range->refused) {
      ++refusals;
      range->connection->OnRefused(std::nullopt);
      file.backoffs_.push_back(link.backoff);
      file.ranges_.erase(range);
    } else if (range->wait.count() <= 0) {
      double moved = std::min(bytes_each, range->left);
      range->connection->AddBytes(static_cast<Bytes>(moved), static_cast<Bytes>(moved));
      file.bytes_ += moved;
      range->left -= moved;
      if (range->left <= 0) file.ranges_.erase(range);
    }
    range = next;
  }
}

void SimulatedNetwork::Reset() {
  std::vector<std::pair<File*, std::list<File::Range>::iterator>> open;
  for (auto& file : files) {
    for (auto range = file->ranges_.begin(); range != file->ranges_.end(); ++range) {
      open.emplace_back(file.get(), range);
    }
  }
  if (open.empty()) return;
  auto [file, range] = open[random_() % open.size()];
  // What the piece held is brought again.
  file->bytes_ -= std::min(range->left, 1.0 * kMiB);
  range->connection->OnLost();
  file->backoffs_.push_back(link.backoff);
  file->ranges_.erase(range);
}

void SimulatedNetwork::Step() {
  clock.Advance(kStep);
  elapsed_ += kStep;
  double active = static_cast<double>(std::max<size_t>(1, Active().size()));
  double each = std::min(link.per_connection, link.bytes_per_second / active);
  double seconds = std::chrono::duration<double>(kStep).count();
  for (auto& file : files) Move(*file, each * seconds);
  if (link.reset_every && elapsed_ % *link.reset_every < kStep) Reset();
  for (auto& file : files) file->Pump();
  if (elapsed_.count() % 100 == 0) governor.Tick();
  while (std::exchange(woken_, false)) governor.Offer();
}

void SimulatedNetwork::Run(std::chrono::milliseconds time) {
  for (auto end = elapsed_ + time; elapsed_ < end;) Step();
}

double SimulatedNetwork::RateOver(std::chrono::milliseconds time) {
  auto sum = [this] {
    double bytes = 0;
    for (auto& file : files) bytes += file->bytes();
    return bytes;
  };
  double before = sum();
  Run(time);
  return (sum() - before) / std::chrono::duration<double>(time).count();
}

}  // namespace weighhouse::fill
