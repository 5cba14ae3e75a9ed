#pragma once

#include <memory>
#include <vector>

#include "cache-daemon/source/connection_policy.h"

namespace weighhouse {

/// The tests' servers are at the loopback, where sources may not be without an admin's word: this
/// is it, for all tests.
inline std::vector<source::AddressRange> LoopbackAddresses() {
  return {source::AddressRange::Parse("127.0.0.0/8").value(),
          source::AddressRange::Parse("::1").value()};
}

inline std::shared_ptr<source::ConnectionPolicy> LoopbackPolicy() {
  return std::make_shared<source::ConnectionPolicy>(
      source::ConnectionRules{.allow_addresses = LoopbackAddresses()});
}

}  // namespace weighhouse
