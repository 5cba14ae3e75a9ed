#pragma once

#include <chrono>
#include <string>
#include <variant>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/fill/filler.h"

namespace weighhouse {

/// Who holds a lease: see cache.proto Holder.
struct Holder {
  std::string volume_id, target_path, pod_namespace, pod_name, pod_uid;
};

/// How it stands with one publish of a pod: see cache.proto Publish.
struct PublishView {
  std::string lease_id;
  Holder holder;
  std::string model;                            ///< what was asked for
  std::chrono::system_clock::time_point since;  ///< of its first Acquire

  struct Resolving {};
  struct Filling {
    std::string snapshot_id;  ///< empty while layers are read that tell which it is
    std::string revision;
    fill::FillProgress progress;
  };
  struct Ready {
    std::chrono::milliseconds took{0};  ///< from the first Acquire, over kubelet's repetitions
    bool cold = false;                  ///< it waited for a fill
    Bytes bytes = 0;
  };
  /// Why it ended, and what the pod's event says. Kubelet tries again.
  struct Refused {
    Error error;
  };
  std::variant<Resolving, Filling, Ready, Refused> state;

  bool Ended() const {
    return std::holds_alternative<Ready>(state) || std::holds_alternative<Refused>(state);
  }
};

}  // namespace weighhouse
