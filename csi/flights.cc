#include "csi/flights.h"

#include <utility>

namespace weighhouse::csi {

Flights::Admission Flights::Add(const std::string& target, const std::string& lease_id,
                                std::weak_ptr<Interruptible> flight) {
  MutexLock lock(mutex_);
  if (stopping_) return Admission::kStopping;
  if (unpublishing_.contains(target)) return Admission::kUnpublishing;
  flights_.insert_or_assign(target, Flight{lease_id, std::move(flight)});
  if (watching_) watched_.insert(lease_id);
  return Admission::kAdmitted;
}

void Flights::Remove(const std::string& target) {
  {
    MutexLock lock(mutex_);
    flights_.erase(target);
  }
  changed_.NotifyAll();
}

void Flights::BeginUnpublish(const std::string& target) {
  std::shared_ptr<Interruptible> flight;
  {
    MutexLock lock(mutex_);
    unpublishing_.insert(target);
    auto found = flights_.find(target);
    if (found != flights_.end()) flight = found->second.interruptible.lock();
  }
  if (flight) flight->Interrupt(Interruption::kUnpublished);
}

void Flights::EndUnpublish(const std::string& target) {
  MutexLock lock(mutex_);
  unpublishing_.erase(unpublishing_.find(target));
}

void Flights::Stop() {
  std::vector<std::shared_ptr<Interruptible>> flights;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (const auto& [target, flight] : flights_) flights.push_back(flight.interruptible.lock());
  }
  for (const auto& flight : flights) {
    if (flight) flight->Interrupt(Interruption::kStopping);
  }
}

bool Flights::WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(mutex_);
  while (!flights_.empty()) {
    if (!changed_.WaitUntil(lock, deadline) && !flights_.empty()) return false;
  }
  return true;
}

void Flights::BeginWatch() {
  MutexLock lock(mutex_);
  watching_ = true;
  watched_.clear();
  for (const auto& [target, flight] : flights_) watched_.insert(flight.lease_id);
}

std::vector<std::string> Flights::EndWatch() {
  MutexLock lock(mutex_);
  watching_ = false;
  return {watched_.begin(), watched_.end()};
}

}  // namespace weighhouse::csi
