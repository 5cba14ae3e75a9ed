#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "agent/api_server.h"
#include "agent/daemon_watch.h"
#include "agent/event_book.h"
#include "agent/event_sender.h"
#include "agent/heartbeat.h"
#include "agent/label_keeper.h"
#include "agent/options.h"
#include "base/clock.h"

namespace weighhouse::agent {

/// Brings what the daemon says to the API server: one request at a time, for as long as it runs.
class AgentLoop {
 public:
  /// All outlive it.
  AgentLoop(const Options& options, DaemonWatch& watch, ApiServer& api, const Clock& clock);

  /// Until `stop`.
  void Run(const std::stop_token& stop);

 private:
  void SendWhatIsDue(const std::stop_token& stop);
  void Take(const std::optional<pb::PublishesUpdate>& update);

  DaemonWatch& watch_;
  const Clock& clock_;
  EventBook book_;
  EventSender sender_;
  std::optional<LabelKeeper> labels_;
  Heartbeat heartbeat_;
};

}  // namespace weighhouse::agent
