#pragma once

#include <string>
#include <string_view>

#include "base/model.h"

namespace weighhouse {

/// What an http(s) URI of a model reference names.
enum class WebForm {
  kFile,       ///< `https://host/path/file`: one file
  kDirectory,  ///< `https://host/path/`: what the SHA256SUMS there lists
  kManifest,   ///< `https://host/path/list.json#manifest`: what that JSON document lists
};

/// The form of `uri`, an http(s) one as ParseWebReference makes it.
WebForm WebFormOf(std::string_view uri);

/// Reads `https://host/path[#sha256=<hex>]` in one of the three forms (a manifest's are
/// `#manifest` and `#manifest&sha256=<hex>`). The digest is that of what lies at the URL itself:
/// the file, the directory's SHA256SUMS, the manifest. kInvalidArgument names what is wrong.
Result<ModelReference> ParseWebReference(std::string_view model);

/// `reference.uri`, with the digest that it expects behind it: what ParseWebReference reads.
std::string UriWithDigest(const ModelReference& reference);

}  // namespace weighhouse
