#pragma once

#include <map>
#include <string>

namespace weighhouse {

/// Runs this test program anew, with only the tests of `filter`, `environment` and
/// WEIGHHOUSE_FAULT=`fault` (a fork alone would share what this one has read of that), and waits
/// for its end. Whether the fault killed it; it fails the test if it ended badly by itself.
bool IsKilledAt(const std::string& fault, const std::string& filter,
                const std::map<std::string, std::string>& environment);

}  // namespace weighhouse
