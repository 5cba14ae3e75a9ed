#pragma once

#include <string>

#include <google/protobuf/map.h>

#include "csi/volume_context.h"

namespace weighhouse::csi {

/// A map of the wire as the checks take it, which is sorted.
inline StringMap ToMap(const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

}  // namespace weighhouse::csi
