#pragma once

#include <cstdint>
#include <string>

#include "proto/cache.pb.h"

namespace weighhouse::agent {

/// A publish of the pod `default/<pod>` that began at the epoch's second 1000, with no state yet.
inline cache::v1::Publish PublishOf(const std::string& lease, const std::string& pod = "web-0") {
  cache::v1::Publish publish;
  publish.set_lease_id(lease);
  publish.mutable_holder()->set_pod_namespace("default");
  publish.mutable_holder()->set_pod_name(pod);
  publish.mutable_holder()->set_pod_uid("11111111-2222-3333-4444-555555555555");
  publish.set_model("hf://org/name@main");
  publish.set_since_unix_ms(1'000'000);
  return publish;
}

inline cache::v1::Publish Resolving(cache::v1::Publish publish) {
  publish.mutable_resolving();
  return publish;
}

inline cache::v1::Publish Filling(cache::v1::Publish publish, uint64_t done,
                                  uint64_t total = 1000) {
  publish.mutable_filling()->set_bytes_done(done);
  publish.mutable_filling()->set_bytes_total(total);
  return publish;
}

inline cache::v1::Publish Ready(cache::v1::Publish publish, uint64_t milliseconds,
                                bool cold = true) {
  publish.mutable_ready()->set_milliseconds(milliseconds);
  publish.mutable_ready()->set_cold(cold);
  return publish;
}

inline cache::v1::Publish Refused(cache::v1::Publish publish, const std::string& message) {
  publish.mutable_refused()->set_code(7);
  publish.mutable_refused()->set_message(message);
  return publish;
}

}  // namespace weighhouse::agent
