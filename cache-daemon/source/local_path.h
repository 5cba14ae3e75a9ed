#pragma once

#include <string>
#include <vector>

#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// A directory (with all below it) or one file on this machine, below one of the roots that an
/// admin allows. Links are followed as long as they stay below that root. Left out: directories
/// called `.cache` and names that begin with `.git`. A file's identity is the sha256 that a
/// SHA256SUMS in the directory (beside the one file) lists for it, which is then no file of the
/// model itself; else its time of change, size and inode. Thread-safe.
class LocalPath final : public Source {
 public:
  /// `roots`: absolute paths; they need not exist yet.
  explicit LocalPath(std::vector<std::string> roots);

  /// kPermissionDenied outside of the roots; kNotFound; kInvalidArgument for a link that leaves the
  /// root or loops, for what is neither file nor directory, and for a SHA256SUMS that can't be
  /// read; kFailedPrecondition for one that lists what isn't there.
  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  /// kOutOfRange if the file is no longer the one that was listed. The URL is file:// and the real
  /// path, not percent-encoded.
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  /// A real path, and the real path of the root that it lies below.
  struct Place {
    std::string path, root;
  };
  Result<Place> Find(const ModelReference& reference) const;
  static Result<ListedFile> DescribeOne(const Place& place, const std::string& name);

  const std::vector<std::string> roots_;
};

}  // namespace weighhouse::source
