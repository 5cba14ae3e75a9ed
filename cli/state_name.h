#pragma once

#include <string_view>

#include "proto/cache.pb.h"

namespace weighhouse::cli {

/// "complete", "filling", "incomplete"; "unknown" for what a newer daemon may say.
constexpr std::string_view StateName(cache::v1::Snapshot::State state) {
  switch (state) {
    case cache::v1::Snapshot::COMPLETE:
      return "complete";
    case cache::v1::Snapshot::FILLING:
      return "filling";
    case cache::v1::Snapshot::INCOMPLETE:
      return "incomplete";
    default:
      return "unknown";
  }
}

}  // namespace weighhouse::cli
