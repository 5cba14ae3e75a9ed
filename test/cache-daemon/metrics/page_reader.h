#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace weighhouse {

/// The samples of a page in Prometheus' text format, by series as the page writes it:
/// `name{label="value"}`.
std::map<std::string, std::string> ReadSamples(std::string_view page);

/// The value of one series, as text (so that it is compared exactly); nothing if it isn't there.
std::optional<std::string> ValueOf(std::string_view page, const std::string& series);

}  // namespace weighhouse
