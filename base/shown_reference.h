#pragma once

#include <string>
#include <string_view>

namespace weighhouse {

/// A model as somebody wrote it, who may have written anything, for messages: printable, cut, and
/// without what may be a secret, which is a URL's query and who stands before an `@` in its host.
std::string ShownReference(std::string_view model);

}  // namespace weighhouse
