#pragma once

#include <string>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// The revision of a source that knows none: a digest over the files' paths, sizes and identities.
std::string RevisionOf(const std::vector<ListedFile>& files);

/// The identity of an object by its store's token for this version of it (an ETag, a generation).
/// Tokens are each object's own, so the path goes in: equal ones of two objects mean nothing.
FileIdentity VersionIdentity(std::string_view token, std::string_view path);
/// The token of an identity that VersionIdentity made for `file`; "" for others.
std::string VersionTokenOf(const ListedFile& file);

/// The object's key: of a listing of one object, whose origin doesn't end with a slash, `path`
/// itself; else what lies at the file's path below it.
std::string KeyOf(const Listing& listing, const std::string& path, const ListedFile& file);

}  // namespace weighhouse::source
