#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/model.h"
#include "base/units.h"

namespace weighhouse::source {

/// What lies around a file within something larger whose digest alone is known, such as a tar.
struct Enclosure {
  std::string before, after;  ///< all of it but the file
  std::string sha256;         ///< of `before`, the file and `after`; hexadecimal
};

/// Where the bytes of one file can be read right now.
struct FileLocation {
  std::string url;                   ///< http(s)://… or file:///…
  std::vector<std::string> headers;  ///< "Name: value", secrets included: never log them
  bool authorised = false;           ///< `headers` hold credentials
  /// After this the URL must be located again (a signed URL's expiry, less a margin). Not by the
  /// wall clock, which may jump.
  std::chrono::steady_clock::time_point expires_at = std::chrono::steady_clock::time_point::max();
  /// Of the whole file; set by whoever knows it. A server that has another size has another file.
  std::optional<Bytes> size;
  /// Set: the URL names what the file lies in, and the file is right if that is. Shared: every
  /// range has a copy of its location.
  std::shared_ptr<const Enclosure> enclosure;
  /// Of the whole file, where the source has one beside the identity: its bytes must have it too.
  std::optional<ContentChecksum> checksum;
  /// A Content-Encoding there is a label of the bytes that are stored: they come as they are.
  bool stored_as_is = false;
};

/// One kind of place where models come from. Thread-safe; calls block for network time, bounded by
/// the client's timeouts and ended early by `stop`. Errors (facts/model-sources.md 1.5): kNotFound,
/// kUnauthenticated, kPermissionDenied (gated: says where to accept the licence), kInvalidArgument
/// (hostile listing), kUnavailable (transient, with retry_after where the server gave one).
class Source {
 public:
  virtual ~Source() = default;

  /// What `reference` means now, with the caller's own rights: the whole listing, patterns not
  /// applied, names checked (CheckListing), sorted by path.
  virtual Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                                  std::stop_token stop) = 0;

  /// The origin that listings of `reference` have where these credentials ask (they may name a
  /// service of their own), if that is known without asking; else empty. Of a bucket it ends with a
  /// slash, as a prefix's: that of a single object doesn't.
  virtual std::string OriginFor(const ModelReference&, const Credentials&) const { return ""; }

  /// What rules judge the reference by beside its URI, where these credentials name a service of
  /// their own, not one that an admin names; else empty.
  virtual std::string ElsewhereFor(const ModelReference&, const Credentials&) const { return ""; }

  /// Whether these credentials may read all of the reference's origin, where one cheap request
  /// tells; false: only Resolve does. For a commit that was listed before. Errors as Resolve's, for
  /// the same reasons.
  virtual Result<bool> MayRead(const ModelReference&, const Credentials&, std::stop_token) {
    return false;
  }

  /// Shows that these credentials may read each file of `selected`, a part of what Resolve has just
  /// given to them: listing and reading are two rights. True: so may anybody, whose `anonymous`
  /// that is. Errors as Resolve's. Here: of a source whose right is the whole origin's, which
  /// Resolve has shown.
  virtual Result<bool> ShowRights(const ModelReference&, const Credentials&,
                                  const Listing& selected, std::stop_token) {
    return selected.anonymous;
  }

  /// Where `file` of `listing` can be fetched, with the caller's own rights.
  virtual Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                                      const ListedFile& file, const Credentials& credentials,
                                      std::stop_token stop) = 0;
};

}  // namespace weighhouse::source
