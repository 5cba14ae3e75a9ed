#pragma once

#include <string>
#include <string_view>

#include "proto/csi.pb.h"

namespace weighhouse::csi {

/// Where a node is, as the scheduler knows it: one label with a key that never changes, because
/// kubelet refuses a driver whose label's value became another one. A value.
struct NodeTopology {
  std::string key;    ///< `topology.<driver>/node`
  std::string value;  ///< the node's id, or a digest of it where a label can't hold the id

  static NodeTopology Of(std::string_view driver_name, std::string_view node_id);

  ::csi::v1::Topology ToMessage() const;
  /// True if this node is in `topology`: no segment says another node, or anything that we don't
  /// know.
  bool IsIn(const ::csi::v1::Topology& topology) const;
  /// True if a volume that only this node can use satisfies the requirement. `preferred` alone
  /// requires nothing (CSI specification, TopologyRequirement).
  bool Satisfies(const ::csi::v1::TopologyRequirement& requirement) const;
};

}  // namespace weighhouse::csi
