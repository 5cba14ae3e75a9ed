#include "csi/topology.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/digest.h"

namespace weighhouse::csi {
namespace {

/// Kubernetes' rules for the value of a label.
bool IsLabelValue(std::string_view text) {
  auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  auto allowed = [&](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; };
  return !text.empty() && text.size() <= 63 && std::ranges::all_of(text, allowed) &&
         alphanumeric(text.front()) && alphanumeric(text.back());
}

}  // namespace

NodeTopology NodeTopology::Of(std::string_view driver_name, std::string_view node_id) {
  std::string value(node_id);
  if (!IsLabelValue(value)) value = Digest::Of(node_id).Hex().substr(0, 40);
  return {.key = fmt::format("topology.{}/node", driver_name), .value = std::move(value)};
}

::csi::v1::Topology NodeTopology::ToMessage() const {
  ::csi::v1::Topology topology;
  (*topology.mutable_segments())[key] = value;
  return topology;
}

bool NodeTopology::IsIn(const ::csi::v1::Topology& topology) const {
  return std::ranges::all_of(topology.segments(), [this](const auto& segment) {
    return segment.first == key && segment.second == value;
  });
}

bool NodeTopology::Satisfies(const ::csi::v1::TopologyRequirement& requirement) const {
  return requirement.requisite().empty() ||
         std::ranges::any_of(requirement.requisite(),
                             [this](const auto& topology) { return IsIn(topology); });
}

}  // namespace weighhouse::csi
