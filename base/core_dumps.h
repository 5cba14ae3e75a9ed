#pragma once

namespace weighhouse {

/// A core dump of this process, or of what it becomes, would hold the secrets that it was given.
void ForbidCoreDumps();

}  // namespace weighhouse
