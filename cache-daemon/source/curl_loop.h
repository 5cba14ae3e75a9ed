#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "cache-daemon/source/http_transfer.h"
#include "cache-daemon/source/load_meter.h"
#include "cache-daemon/source/loop_choice.h"
#include "cache-daemon/source/strand.h"
#include "cache-daemon/source/transfer_inbox.h"

namespace weighhouse::source {

/// One of libcurl's event loops, with connections of its own that it keeps for the next transfers.
/// A thread belongs to it: the one that calls Run, or Turn and Wait. Transfers are begun, resumed,
/// cancelled and ended between two turns.
class CurlLoop {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Settings {
    CurlOptions curl;
    // May be changed while loops run, which look at them again with every turn.
    std::atomic<std::chrono::milliseconds> stall_timeout;
    std::atomic<int> max_connections;  ///< kept for reuse
  };

  /// `settings` and `strand` outlive it.
  CurlLoop(const Settings& settings, Strand& strand, CurlMulti multi);
  /// When its thread has ended: unfinished transfers get no OnEnd.
  ~CurlLoop();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;

  // On the strand.
  void Start(std::unique_ptr<HttpTransfer> transfer);
  void Resume(TransferId id);
  void Cancel(TransferId id);
  LoopLoad LoadFor(const std::string& host, Time now) const;

  /// Ends a Wait, or the next one if there is none. Thread-safe; free of cost on the loop's own
  /// thread, which is awake.
  void Wake();

  // On its thread.
  void Run(const std::stop_token& stop);
  void Turn();
  /// Until something comes, somebody wakes it, or `longest` is over.
  void Wait(std::chrono::milliseconds longest);

 private:
  void ApplyRequests();
  void ApplySettings();
  void Begin(TransferId id);
  void ResumeNow(TransferId id);
  void Perform();
  void EndStalled();
  /// Takes the transfer from libcurl and keeps its handle for the next.
  std::unique_ptr<HttpTransfer> Remove(TransferId id);
  void End(TransferId id, const TransferEnd& end);

  const Settings& settings_;
  Strand& strand_;
  CurlMulti multi_;
  LoadMeter load_;

  TransferInbox<HttpTransfer> inbox_ GUARDED_BY(strand_);
  /// Connections without a transfer, as far as can be told: a server may have closed some.
  std::map<std::string, size_t> idle_connections_ GUARDED_BY(strand_);

  // Owned by its thread, until that has ended.
  std::map<TransferId, std::unique_ptr<HttpTransfer>> transfers_;
  std::vector<CurlEasy> idle_handles_;
  int max_connections_ = 0;  ///< that libcurl was told
  Time next_stall_check_{};
};

}  // namespace weighhouse::source
