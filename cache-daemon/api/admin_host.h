#pragma once

#include <string_view>

namespace weighhouse::api {

/// Whether `host`, a request's Host header with a port or without, is what only somebody in or at
/// the cluster can mean: an address, localhost, a name without a dot, or one below a domain that
/// the Internet doesn't have. Any other may be a stranger's, whose page has a reader's browser ask
/// us in its name (DNS rebinding) and reads the answer. Empty, as programs may send it: true.
bool IsHostOfTheCluster(std::string_view host);

}  // namespace weighhouse::api
