#pragma once

#include <string>

#include "base/units.h"

namespace weighhouse {

/// "12.1/32.4 GiB": both in the unit that suits `total`.
std::string FormatShare(Bytes done, Bytes total);

/// Whole per cents, rounded down; 0 of nothing. At most 100.
int PerCent(Bytes done, Bytes total);

/// "17 s", "2 min 5 s": whole seconds, for an estimate has no tenths.
std::string FormatTimeLeft(uint64_t seconds);

}  // namespace weighhouse
