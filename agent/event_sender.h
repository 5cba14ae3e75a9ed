#pragma once

#include <stop_token>
#include <string>
#include <utility>

#include "agent/api_server.h"
#include "agent/event_book.h"

namespace weighhouse::agent {

/// Brings one announcement to the API server: makes the event or changes it, whichever it needs.
/// An event that is there already (of an agent before this one) is changed, and one that is gone
/// (events live for an hour) is made again. Used by one thread.
class EventSender {
 public:
  /// `api` outlives it; `node` is named as the events' source.
  EventSender(ApiServer& api, std::string node) : api_(api), node_(std::move(node)) {}

  /// At most two requests, each within the ApiServer's time. Failures are logged here: a server
  /// that is away once for each reason.
  SendResult Send(const Announcement& announcement, std::stop_token stop);

 private:
  SendResult Create(const Announcement& announcement, std::stop_token stop, bool may_exist);
  SendResult Change(const Announcement& announcement, std::stop_token stop, bool may_be_gone);
  SendResult Judge(const ApiAnswer& answer, const EventPlace& place);
  SendResult NoAnswer(const Error& error);
  /// `kind`: an HTTP status, or a Code below 0.
  void LogAway(int kind, const std::string& why);

  ApiServer& api_;
  const std::string node_;
  int away_ = 0;  ///< LogAway's last kind; 0: the server was there last
};

}  // namespace weighhouse::agent
