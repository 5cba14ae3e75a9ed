#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "cache-daemon/source/transport.h"

namespace weighhouse::source {

/// The transfers of one loop as those on the strand see them, and what they ask for: the loop does
/// it between two of its turns, because libcurl forbids most calls from within its callbacks.
/// `Transfer` has an id and can be silenced. Used under the strand.
template <class Transfer>
class TransferInbox {
 public:
  struct Requests {
    std::vector<std::unique_ptr<Transfer>> starts;
    std::vector<TransferId> resumes;
    std::vector<TransferId> cancels;  ///< may name one of `starts`
    bool empty() const { return starts.empty() && resumes.empty() && cancels.empty(); }
  };

  void Start(std::unique_ptr<Transfer> transfer) {
    live_.emplace(transfer->id(), transfer.get());
    requests_.starts.push_back(std::move(transfer));
  }
  void Resume(TransferId id) {
    if (live_.contains(id)) requests_.resumes.push_back(id);
  }
  /// Its sink hears nothing more from now on.
  void Cancel(TransferId id) {
    auto found = live_.find(id);
    if (found == live_.end()) return;
    found->second->Silence();
    live_.erase(found);
    requests_.cancels.push_back(id);
  }
  /// The transfer ended; false if it was cancelled before.
  bool End(TransferId id) { return live_.erase(id) > 0; }
  /// What was asked for since the last call.
  Requests Take() { return std::exchange(requests_, {}); }
  bool empty() const { return requests_.empty(); }
  size_t live() const { return live_.size(); }

 private:
  Requests requests_;
  std::map<TransferId, Transfer*> live_;  ///< neither ended nor cancelled; the loop owns them
};

}  // namespace weighhouse::source
