#include "base/fair_pool.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log_context.h"
#include "base/thread.h"

namespace weighhouse {

FairPool::FairPool(const std::string& name, Size size) : size_(size), free_(size.threads) {
  for (int i = 0; i < size.threads; ++i) {
    threads_.push_back(StartThread(name + "-" + std::to_string(i), [this](const auto&) { Run(); }));
  }
}

FairPool::~FairPool() { Stop(); }

void FairPool::Stop() {
  // They die without the lock, because what a job owns may post, and before the threads are joined,
  // because what a running job waits for may be theirs to let go.
  std::vector<std::function<void()>> dropped;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    for (Parties::iterator party : std::exchange(turns_, {})) {
      std::ranges::move(party->second.waiting, std::back_inserter(dropped));
      party->second.waiting.clear();
      if (party->second.running == 0) parties_.erase(party);
    }
  }
  changed_.NotifyAll();
  dropped.clear();
  threads_.clear();
}

void FairPool::Post(const std::string& party, std::function<void()> job) {
  job = InLogContext(std::move(job));
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    auto posted = parties_.try_emplace(party).first;
    if (posted->second.waiting.empty()) turns_.push_back(posted);
    posted->second.waiting.push_back(std::move(job));
  }
  changed_.NotifyOne();
}

void FairPool::Run() {
  while (true) {
    std::function<void()> job;
    Parties::iterator party;
    {
      MutexLock lock(mutex_);
      party = Next();
      while (party == parties_.end() && !stopping_) {
        changed_.Wait(lock);
        party = Next();
      }
      if (stopping_) return;
      job = Begin(party);
      // It took the turn of one that may have waited longer than who may begin now.
      if (Next() != parties_.end()) changed_.NotifyOne();
    }
    job();
    job = nullptr;  // what it owns may post
    MutexLock lock(mutex_);
    End(party);
  }
}

FairPool::Parties::iterator FairPool::Next() {
  for (Parties::iterator party : turns_) {
    int running = party->second.running;
    if (running == 0 || (running < size_.most_for_one && running < free_)) return party;
  }
  return parties_.end();
}

std::function<void()> FairPool::Begin(Parties::iterator party) {
  Party& its = party->second;
  std::function<void()> job = std::move(its.waiting.front());
  its.waiting.pop_front();
  std::erase(turns_, party);
  if (!its.waiting.empty()) turns_.push_back(party);
  ++its.running;
  --free_;
  return job;
}

void FairPool::End(Parties::iterator party) {
  --party->second.running;
  ++free_;
  if (party->second.running == 0 && party->second.waiting.empty()) parties_.erase(party);
}

}  // namespace weighhouse
