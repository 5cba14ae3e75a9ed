#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/units.h"
#include "cache-daemon/source/connection_policy.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// How one transfer ended.
struct TransferEnd {
  /// kUnavailable: worth another try (connection lost, stalled, 5xx, 429 with retry_after);
  /// kOutOfRange: the server has other bytes than promised (wrong Content-Range, more or fewer
  /// bytes, 416); kUnimplemented: it ignored Range (answered 200); kUnauthenticated /
  /// kPermissionDenied: 401 / 403 (a signed URL may have expired), with the printable start of the
  /// body.
  Result<> status;
  int http_status = 0;  ///< 0 for file:// and where no answer came
};

/// Receives one transfer. All calls come on the transport's strand.
class TransferSink {
 public:
  virtual ~TransferSink() = default;
  /// Takes all of `bytes` and returns true, or takes none and returns false: the transfer then
  /// pauses until `Transport::Resume`, and offers the same bytes again.
  virtual bool OnBytes(std::span<const std::byte> bytes) = 0;
  /// The transfer ended. The last call; the sink may be destroyed in it.
  virtual void OnEnd(const TransferEnd& end) = 0;
};

using TransferId = uint64_t;

struct TransportOptions {
  std::chrono::milliseconds connect_timeout{10000};
  /// A transfer that brings no byte for this long (and isn't paused) ends with kUnavailable.
  std::chrono::milliseconds stall_timeout{30000};
  /// Connections that each loop keeps for reuse.
  int max_connections = 64;
  /// Loops, at most; 0: as many as there are hardware threads but one, up to 8.
  int max_loops = 0;
  /// A loop needs help if it is busy for more than this part of the time; 0: use all alike.
  double busy_part = 0.75;
  /// A PEM file of certificate authorities instead of the system's; empty: the system's.
  std::string ca_file;
  /// Whom it may connect to; null: the default one. Shared with whoever changes it.
  std::shared_ptr<const ConnectionPolicy> policy;
  bool operator==(const TransportOptions&) const = default;
};

/// Event loops on threads of their own that bring byte ranges (libcurl's multi interface, HTTP/1.1
/// with keep-alive, redirects refused: a location is final; file:// is read with pread). One loop
/// is enough for plain HTTP; further ones are begun where those that run have no time left, as TLS
/// may need it. Whichever loop they come from, tasks and calls of sinks run one at a time: they are
/// "on the strand". Everything that a fill does happens there, so fills need no locks. Destroying
/// it ends the loops: unfinished transfers get no OnEnd.
class Transport {
 public:
  virtual ~Transport() = default;

  /// Runs `task` on the strand, in order. Thread-safe. Tasks posted after the loops ended are
  /// dropped.
  virtual void Post(std::function<void()> task) = 0;
  /// The same, not before `delay` has passed.
  virtual void PostAfter(std::chrono::milliseconds delay, std::function<void()> task) = 0;

  /// Takes over what can change while it runs: stall_timeout and max_connections. Thread-safe.
  virtual void Reconfigure(const TransportOptions& options) = 0;

  // On the strand only.
  /// Starts bringing `range` (nothing: the whole file without a Range header). `sink` stays valid
  /// until OnEnd or Cancel. Never calls the sink before it has returned.
  virtual TransferId Start(const FileLocation& location, std::optional<ByteRange> range,
                           TransferSink& sink) = 0;
  virtual void Resume(TransferId id) = 0;
  /// Ends a transfer without OnEnd. Not from within that sink's own OnBytes. Unknown ids are fine.
  virtual void Cancel(TransferId id) = 0;
};

Result<std::unique_ptr<Transport>> CreateTransport(TransportOptions options);

}  // namespace weighhouse::source
