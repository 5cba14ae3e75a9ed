#pragma once

#include <string>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// The revision of a listing where the source has no commits: a digest over the files, which are
/// sorted.
std::string RevisionOfFiles(const std::vector<ListedFile>& files);

}  // namespace weighhouse::source
