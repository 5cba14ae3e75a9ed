#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/http_headers.h"
#include "cache-daemon/source/strand.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::source {

/// One byte range on its way over HTTP: checks what the server promises and sends, before it hands
/// bytes on, under the strand. Owned by its loop's thread, but for what concerns the sink; libcurl
/// holds its address from `Begin` to the handle's removal.
class HttpTransfer {
 public:
  using Time = std::chrono::steady_clock::time_point;

  HttpTransfer(TransferId id, const FileLocation& location, std::optional<ByteRange> range,
               Strand& strand, TransferSink& sink);
  /// What connections are reused by.
  static std::string HostOf(const std::string& url);

  /// kInvalidArgument for a location that is no http(s) URL, and `policy`'s refusals.
  Result<> CheckUrl(const ConnectionPolicy& policy);
  /// Sets the request up on `easy`. After CheckUrl, which allowed it.
  void Begin(CurlEasy easy, const CurlOptions& options, Time now);
  CURL* easy() const { return easy_.get(); }
  CurlEasy TakeEasy();

  TransferId id() const { return id_; }
  std::string host() const { return HostOf(location_.url); }
  /// True for a range of no bytes: HTTP can't ask for it.
  bool empty() const { return range_ && range_->size() == 0; }
  bool paused() const { return paused_; }
  /// True if a callback ended the transfer; libcurl may not have noticed yet.
  bool broken() const { return broken_; }

  // On the strand.
  TransferSink& sink() {
    strand_.AssertHeld();
    return *sink_;
  }
  /// No callback reaches the sink after this.
  void Silence() {
    strand_.AssertHeld();
    sink_ = nullptr;
  }

  /// Offers what was refused again. The sink may refuse once more.
  void Resume(Time now);
  /// Since when nothing came.
  Time last_activity() const { return last_activity_; }

  /// How it ended, if libcurl's word for it is `code`.
  TransferEnd Outcome(CURLcode code) const;
  /// The end of a transfer that brought nothing for `stalled`.
  TransferEnd Stalled(std::chrono::milliseconds stalled) const;

 private:
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  size_t TakeHeader(std::string_view line);
  size_t TakeBody(std::span<const std::byte> bytes);
  /// False if nobody hears of this transfer any more.
  bool Offer(std::span<const std::byte> bytes) EXCLUDES(strand_);
  size_t TakeErrorBody(std::span<const std::byte> bytes);
  /// Ends the transfer with `error`; returns what tells libcurl so.
  size_t Break(Error error);
  Result<> Status(CURLcode code) const;
  std::string Server() const;

  const TransferId id_;
  const FileLocation location_;
  const std::optional<ByteRange> range_;
  Strand& strand_;
  TransferSink* sink_ GUARDED_BY(strand_);  ///< null: silenced
  CurlEasy easy_;
  ConnectionGuard guard_;
  CurlList request_headers_;
  char error_text_[CURL_ERROR_SIZE] = "";

  HttpHeaders headers_;
  std::string error_body_;
  Bytes received_ = 0;
  bool paused_ = false;
  bool broken_ = false;
  std::optional<Error> failure_;
  Time last_activity_;
};

}  // namespace weighhouse::source
