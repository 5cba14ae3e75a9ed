#pragma once

#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "cache-daemon/io/filesystem.h"
#include "cache-daemon/store/root_layout.h"

namespace weighhouse::store {

/// The blobs that a scan of the names below blobs/ found.
class BlobsOnDisk {
 public:
  BlobsOnDisk() = default;
  /// Removes half-written files on the way.
  static Result<BlobsOnDisk> Scan(io::Filesystem& filesystem, const RootLayout& layout);

  bool Contains(const Digest& sha256) const;
  const std::vector<Digest>& all() const { return sorted_; }

 private:
  std::vector<Digest> sorted_;
};

/// Sizes of blobs, as recovery learns them.
class BlobSizes {
 public:
  using Entry = std::pair<Digest, Bytes>;

  void Add(const Digest& sha256, Bytes size) { entries_.emplace_back(sha256, size); }
  /// Sorts them by digest. Of each one size stays: all are of the same verified bytes.
  void Sort();
  /// Once sorted.
  bool Contains(const Digest& sha256) const;
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
};

}  // namespace weighhouse::store
