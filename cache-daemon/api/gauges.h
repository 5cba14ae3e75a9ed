#pragma once

#include <vector>

#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/engine/engine.h"
#include "cache-daemon/metrics/registry.h"

namespace weighhouse::api {

/// What a scrape shows of an engine beside its counters. Pure.
std::vector<metrics::GaugeFamily> EngineGauges(const EngineInfo& info);
std::vector<metrics::GaugeFamily> SpaceGauges(const store::SpaceSums& sums);
std::vector<metrics::GaugeFamily> ConfigurationGauges(const ConfigurationStatus& status);
/// Which program this is.
metrics::GaugeFamily BuildGauge();

}  // namespace weighhouse::api
