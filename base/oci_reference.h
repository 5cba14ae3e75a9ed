#pragma once

#include <string_view>

#include "base/model.h"

namespace weighhouse {

/// Reads `oci://registry[:port]/repository`, then nothing, `:tag`, `@sha256:<hex>` or both, of
/// which the digest counts (distribution-spec, "Pulling manifests"). `@tag` is taken too, as other
/// kinds of models have it. kInvalidArgument says what is wrong and shows the right form; the
/// revision is still to be checked.
Result<ModelReference> ParseOciReference(std::string_view model);

/// kInvalidArgument for what is neither empty nor a tag nor a manifest's digest.
Result<> CheckOciRevision(std::string_view revision);

}  // namespace weighhouse
