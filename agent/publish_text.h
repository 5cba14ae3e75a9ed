#pragma once

#include <optional>
#include <string>

#include "proto/cache.pb.h"

namespace weighhouse::agent {

namespace pb = ::weighhouse::cache::v1;

/// How far a publish is, in the order in which it gets there.
enum class Stage {
  kResolving,  ///< its source is being asked
  kFilling,    ///< bytes are on their way
  kReady,      ///< mounted; the last one
  kRefused,    ///< kubelet has been refused, and comes back by itself
};

/// True for what a publish ends with.
bool IsEnd(Stage stage);

/// What a pod's event says.
struct EventText {
  std::string reason;  ///< such as `ModelFilling`: what tools select by
  bool warning = false;
  std::string message;  ///< printable, at most kMaxMessageBytes
  bool operator==(const EventText&) const = default;
};

/// events.k8s.io allows no longer note (NoteLengthLimit of Kubernetes' validation), and shows core
/// events by it.
inline constexpr size_t kMaxMessageBytes = 1024;

/// Nothing for a state that this program doesn't know, of a newer daemon.
std::optional<Stage> StageOf(const pb::Publish& publish);

/// What the pod is told: `hf://org/name@main: filling 37 % (12.1/32.4 GiB, 1.2 GiB/s, 17 s left)`.
/// Nothing where StageOf says nothing.
std::optional<EventText> TextOf(const pb::Publish& publish);

}  // namespace weighhouse::agent
