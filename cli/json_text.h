#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "proto/cache.pb.h"

/// The objects of --output json. Names and meanings are cache.proto's; sizes in bytes, times in
/// Unix seconds.
namespace weighhouse::cli {

using Json = nlohmann::ordered_json;

Json ToJson(const cache::v1::Snapshot& snapshot);
Json ToJson(const cache::v1::Holder& holder);
Json ToJson(const cache::v1::KeptModel& model);
Json ToJson(const cache::v1::HostConnections& host);
Json ToJson(const cache::v1::RecentError& error);
Json ToJson(const cache::v1::ConfigurationStatus& configuration);
Json ToJson(const cache::v1::VolumeHold& hold);
Json ToJson(const cache::v1::CapacityResponse& capacity);
Json ToJson(const cache::v1::InfoResponse& info);
Json ToJson(const cache::v1::StatResponse& stat);
Json ToJson(const cache::v1::Integrity& integrity);
Json ToJson(const cache::v1::VerifyFinding& finding);

/// `code` and `message`.
Json ErrorToJson(const Error& error);

/// Writes one object and a newline to stdout.
void PrintJson(const Json& json);

}  // namespace weighhouse::cli
