#include "agent/event_object.h"

#include <algorithm>
#include <array>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/text.h"

namespace weighhouse::agent {
namespace {

using nlohmann::json;
using std::chrono::system_clock;

/// RFC 1123 as Kubernetes has it: objects' names at most, namespaces at most, a uid at most.
constexpr size_t kMostNameBytes = 253, kMostNamespaceBytes = 63, kMostUidBytes = 128;
constexpr size_t kNameDigits = 16;
constexpr size_t kMostInstanceBytes = 128;
constexpr const char* kComponent = "weighhouse";

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/// Lower-case letters, digits and `marks`, none of these at an end.
bool IsName(std::string_view text, size_t most, std::string_view marks) {
  return !text.empty() && text.size() <= most && IsLowerAlphanumeric(text.front()) &&
         IsLowerAlphanumeric(text.back()) && std::ranges::all_of(text, [&](char c) {
           return IsLowerAlphanumeric(c) || marks.contains(c);
         });
}

bool IsUid(std::string_view text) {
  return !text.empty() && text.size() <= kMostUidBytes && std::ranges::all_of(text, [](char c) {
    return IsLowerAlphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

/// A pod has one event for each of its volumes: a lease is of a target path.
std::string EventName(const pb::Publish& publish) {
  std::array<std::string, 2> parts = {publish.lease_id(), publish.holder().pod_uid()};
  std::string digits = Digest::Of(Join(parts, "\n")).Hex().substr(0, kNameDigits);
  std::string pod = publish.holder().pod_name().substr(0, kMostNameBytes - kNameDigits - 1);
  while (!IsLowerAlphanumeric(pod.back())) pod.pop_back();  // ends at the first at the latest
  return fmt::format("{}.{}", pod, digits);
}

/// metav1.Time: RFC 3339 in whole seconds.
std::string Shown(system_clock::time_point time) {
  return fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time))));
}

const char* TypeOf(const EventText& text) { return text.warning ? "Warning" : "Normal"; }

std::string Dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::optional<EventPlace> PlaceOf(const pb::Publish& publish) {
  const pb::Holder& holder = publish.holder();
  if (!IsUid(holder.pod_uid()) || !IsName(holder.pod_namespace(), kMostNamespaceBytes, "-") ||
      !IsName(holder.pod_name(), kMostNameBytes, "-.")) {
    return std::nullopt;
  }
  return EventPlace{.pod_namespace = holder.pod_namespace(),
                    .pod_name = holder.pod_name(),
                    .pod_uid = holder.pod_uid(),
                    .event_name = EventName(publish)};
}

std::string EventObject(const Announcement& announcement, const std::string& node) {
  const EventPlace& place = announcement.place;
  return Dump({{"apiVersion", "v1"},
               {"kind", "Event"},
               {"metadata", {{"namespace", place.pod_namespace}, {"name", place.event_name}}},
               {"involvedObject",
                {{"apiVersion", "v1"},
                 {"kind", "Pod"},
                 {"namespace", place.pod_namespace},
                 {"name", place.pod_name},
                 {"uid", place.pod_uid}}},
               {"type", TypeOf(announcement.text)},
               {"reason", announcement.text.reason},
               {"message", announcement.text.message},
               {"source", {{"component", kComponent}, {"host", node}}},
               {"reportingComponent", kComponent},
               {"reportingInstance", node.substr(0, kMostInstanceBytes)},
               {"firstTimestamp", Shown(announcement.first)},
               {"lastTimestamp", Shown(announcement.last)},
               {"count", announcement.count.value_or(1)}});
}

std::string EventPatch(const Announcement& announcement) {
  json patch = {{"type", TypeOf(announcement.text)},
                {"reason", announcement.text.reason},
                {"message", announcement.text.message},
                {"lastTimestamp", Shown(announcement.last)}};
  if (announcement.count) patch["count"] = *announcement.count;
  return Dump(patch);
}

std::optional<int32_t> CountIn(const std::string& event) {
  json object = json::parse(event, nullptr, false);
  if (!object.is_object() || !object.contains("count")) return std::nullopt;
  const json& count = object["count"];
  bool fits = count.is_number_unsigned() && count.get<uint64_t>() < INT32_MAX;
  if (!fits) return std::nullopt;
  return count.get<int32_t>();
}

}  // namespace weighhouse::agent
