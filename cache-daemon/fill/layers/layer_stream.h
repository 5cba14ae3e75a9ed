#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>

#include "cache-daemon/fill/fill_context.h"
#include "cache-daemon/fill/least_rate.h"

namespace weighhouse::fill {

/// The bytes of a blob, one after another, on the thread that asks for them: one connection, which
/// brings no more than is asked for (what waits lies in the sockets). Where it is cut, the blob
/// goes on at the byte where it stopped, with a location that is asked for anew when that is
/// needed. Under the limit of bandwidth as fills are.
class LayerStream {
 public:
  /// Where the blob is now. Blocks on the network.
  using Locate = std::function<Result<source::FileLocation>()>;
  struct Blob {
    Bytes size = 0;
    std::string fill;  ///< the fill that it is for, by which bandwidth is shared
    FillPriority priority = FillPriority::kWaitedFor;
    metrics::SourceKind source = metrics::SourceKind::kOci;
  };
  LayerStream(std::shared_ptr<FillContext> context, Blob blob, Locate locate, std::stop_token stop);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  /// As a ByteSource. Errors: Locate's; the last of several failures in a row, with less than
  /// LeastRate::kLeast between them; LeastRate's; kCancelled.
  Result<std::span<const std::byte>> Next();

 private:
  class Transfer;
  /// Waits for bytes, or for the end of a transfer; begins one where there is none.
  Result<> Advance();
  Result<> Begin();
  /// Waits before the next try, or says that there is none.
  Result<> Recover(Error error);
  void EndTransfer();

  const std::shared_ptr<FillContext> context_;  // shared: see FillContext
  const Blob blob_;
  const Locate locate_;
  const std::stop_token stop_;
  std::shared_ptr<Transfer> transfer_;  // shared with the tasks on the strand; null: none
  std::optional<source::FileLocation> location_;
  std::vector<std::byte> given_;  // out by the last Next
  Bytes position_ = 0;            // of what comes next
  bool ignores_range_ = false;    // the server sends the whole blob, however it is asked
  int failures_ = 0;              // in a row
  Bytes failed_at_ = 0;           // the position at the last of them
  Bytes brought_ = 0;             // by all transfers that ended
  LeastRate least_rate_;
};

}  // namespace weighhouse::fill
