#include "agent/event_sender.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/log.h"
#include "base/text.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;
using source::HttpMethod;
using Outcome = SendResult::Outcome;

constexpr int kBadRequest = 400, kUnauthorized = 401, kForbidden = 403, kNotFound = 404,
              kTimedOut = 408, kConflict = 409, kTooManyRequests = 429;

std::string EventsPath(const EventPlace& place) {
  return fmt::format("/api/v1/namespaces/{}/events", PercentEncode(place.pod_namespace));
}

/// null where there is none.
json Member(const json& object, const char* name) {
  return object.is_object() && object.contains(name) ? object[name] : json();
}

/// Nothing can be made in a namespace that is going: its pods go too. Kubernetes says so in
/// details.causes (NamespaceTerminating).
bool NamespaceGoes(const ApiAnswer& answer) {
  if (answer.status != kForbidden) return false;
  json causes = Member(Member(json::parse(answer.body, nullptr, false), "details"), "causes");
  return causes.is_array() && std::ranges::any_of(causes, [](const json& cause) {
           return Member(cause, "reason") == "NamespaceTerminating";
         });
}

/// Below 400 somebody speaks who is no API server, such as a gateway that redirects.
bool IsAway(int status) {
  return status < kBadRequest || status >= 500 || status == kUnauthorized || status == kTimedOut ||
         status == kTooManyRequests;
}

}  // namespace

void EventSender::LogAway(int kind, const std::string& why) {
  if (std::exchange(away_, kind) == kind) {
    spdlog::debug("{}", why);
  } else {
    spdlog::warn("{}", why);
  }
}

SendResult EventSender::Judge(const ApiAnswer& answer, const EventPlace& place) {
  int status = answer.status;
  bool done = status >= 200 && status < 300;
  if (!done && IsAway(status)) {
    LogAway(status, "the Kubernetes API takes no events now: " + StatusMessage(answer));
    return {.outcome = Outcome::kServerAway, .retry_after = answer.retry_after};
  }
  if (std::exchange(away_, 0) != 0) spdlog::info("the Kubernetes API takes events again");
  if (done) return {.count = CountIn(answer.body)};
  // Also 404 for what was to be made: the namespace is gone.
  if (NamespaceGoes(answer) || status == kNotFound) {
    spdlog::debug("no event for {}/{}: its namespace goes", place.pod_namespace, place.pod_name);
    return {.outcome = Outcome::kDropped};
  }
  std::string shown = StatusMessage(answer);
  if (status == kForbidden || status == kConflict) {
    const char* way_out = status == kForbidden ? " (the service account needs create and patch on "
                                                 "events: deploy/components/agent)"
                                               : "";
    LogRepeated(LogLevel::kWarning, fmt::format("no event for {}/{} now: {}{}", place.pod_namespace,
                                                place.pod_name, shown, way_out));
    return {.outcome = Outcome::kLater, .retry_after = answer.retry_after};
  }
  LogRepeated(LogLevel::kError, fmt::format("the Kubernetes API refuses the event of {}/{}: {}",
                                            place.pod_namespace, place.pod_name, shown));
  return {.outcome = Outcome::kDropped};
}

SendResult EventSender::NoAnswer(const Error& error) {
  if (error.code != Code::kCancelled) {
    LogAway(-static_cast<int>(error.code), "the Kubernetes API can't be asked: " + error.message);
  }
  return {.outcome = Outcome::kServerAway, .retry_after = error.retry_after};
}

SendResult EventSender::Create(const Announcement& announcement, std::stop_token stop,
                               bool may_exist) {
  Result<ApiAnswer> answer = api_.Send({.method = HttpMethod::kPost,
                                        .path = EventsPath(announcement.place),
                                        .body = EventObject(announcement, node_)},
                                       stop);
  if (!answer) return NoAnswer(answer.error());
  if (answer->status != kConflict || !may_exist) return Judge(*answer, announcement.place);
  Announcement change = announcement;
  change.count.reset();  // what was said before is the other's to count
  return Change(change, std::move(stop), /*may_be_gone=*/false);
}

SendResult EventSender::Change(const Announcement& announcement, std::stop_token stop,
                               bool may_be_gone) {
  std::string path = fmt::format("{}/{}", EventsPath(announcement.place),
                                 PercentEncode(announcement.place.event_name));
  Result<ApiAnswer> answer = api_.Send(
      {.method = HttpMethod::kPatch, .path = std::move(path), .body = EventPatch(announcement)},
      stop);
  if (!answer) return NoAnswer(answer.error());
  if (answer->status != kNotFound) return Judge(*answer, announcement.place);
  if (may_be_gone) return Create(announcement, std::move(stop), /*may_exist=*/false);
  return {.outcome = Outcome::kLater};  // made and gone within a moment: the next try makes it
}

SendResult EventSender::Send(const Announcement& announcement, std::stop_token stop) {
  if (announcement.exists) return Change(announcement, std::move(stop), /*may_be_gone=*/true);
  return Create(announcement, std::move(stop), /*may_exist=*/true);
}

}  // namespace weighhouse::agent
