#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/publish_text.h"

namespace weighhouse::agent {

/// Whose event it is, and which. Made of a publish alone, so that an agent that was started again
/// goes on with the event of the one before.
struct EventPlace {
  std::string pod_namespace;
  std::string pod_name;
  std::string pod_uid;
  std::string event_name;  ///< `<pod's name>.<16 hexadecimal digits>`, as other components' are
  bool operator==(const EventPlace&) const = default;
};

/// Nothing where the publish isn't of a pod that the API could know: no uid (a static volume in a
/// test, a plugin without podInfoOnMount), or a namespace or name that no object can have.
std::optional<EventPlace> PlaceOf(const pb::Publish& publish);

/// One thing to be said of a pod.
struct Announcement {
  EventPlace place;
  EventText text;
  std::chrono::system_clock::time_point first;  ///< since when the pod waits
  std::chrono::system_clock::time_point last;   ///< since when `text` is so
  bool exists = false;  ///< the event was made already, as far as is known: it is changed
  /// How often something was said, this time included; nothing: the API server knows, and its
  /// answer to a change tells.
  std::optional<int32_t> count;
};

/// A core/v1 Event as JSON, for POST. (core/v1 and not events.k8s.io/v1, whose events can't be
/// changed.) `node` is where it comes from.
std::string EventObject(const Announcement& announcement, const std::string& node);

/// What changes of it, as an RFC 7386 merge patch. No resourceVersion: there is one writer.
std::string EventPatch(const Announcement& announcement);

/// The `count` of an Event that the API server answered with; nothing if that is none.
std::optional<int32_t> CountIn(const std::string& event);

}  // namespace weighhouse::agent
