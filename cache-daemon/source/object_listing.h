#pragma once

#include <functional>
#include <string>
#include <string_view>
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

/// Gathers what a store lists below a prefix, page by page, and keeps no more of it than a listing
/// may have: kMaxFiles files, kMaxBytes of names.
class ObjectList {
 public:
  static constexpr size_t kMaxBytes = size_t{16} << 20;

  /// `place` is what messages call it (s3://bucket/prefix); keys begin with `prefix`.
  ObjectList(std::string place, std::string prefix);

  /// kInvalidArgument for a key that lies elsewhere or can't become a name (CheckPath), and once
  /// there is too much.
  Result<> Add(std::string_view key, Bytes size, std::string_view token);
  /// What there is too much of is the error of a list without end, too.
  Error TooLong() const;
  std::vector<ListedFile> Take() { return std::move(files_); }

 private:
  const std::string place_, prefix_;
  size_t bytes_ = 0;
  std::vector<ListedFile> files_;
};

/// What a bucket holds: all below the prefix that `listing`'s origin ends with, which `list` gives,
/// or the one object of that name, which `one` looks for. Sorted, and with its revision. kNotFound
/// for an empty bucket; the errors of both, and CheckListing's.
Result<Listing> ListObjects(Listing listing, const ModelReference& reference,
                            const std::function<Result<std::vector<ListedFile>>()>& list,
                            const std::function<Result<ListedFile>()>& one);

}  // namespace weighhouse::source
