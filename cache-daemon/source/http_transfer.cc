#include "cache-daemon/source/http_transfer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cache-daemon/source/transfer_check.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {
namespace {

/// Of an error's body this much is kept for the message.
constexpr size_t kErrorBodyBytes = 2048;
/// Larger brings nothing, the default of 16 KiB costs a quarter more CPU (facts/performance.md).
constexpr long kReceiveBuffer = 512 * 1024;

/// What of the URL's bytes `range` of the file is.
std::optional<ByteRange> RangeOfUrl(const FileLocation& location, std::optional<ByteRange> range) {
  if (!location.enclosure || !location.size) return range;
  Bytes before = location.enclosure->before.size();
  ByteRange file = range.value_or(ByteRange{.begin = 0, .end = *location.size});
  return ByteRange{.begin = before + file.begin, .end = before + file.end};
}

/// Of what the URL names.
std::optional<Bytes> SizeOfUrl(const FileLocation& location) {
  if (!location.enclosure || !location.size) return location.size;
  return location.enclosure->before.size() + *location.size + location.enclosure->after.size();
}

}  // namespace

HttpTransfer::HttpTransfer(TransferId id, const FileLocation& location,
                           std::optional<ByteRange> range, Strand& strand, TransferSink& sink)
    : id_(id),
      location_(location),
      range_(RangeOfUrl(location, range)),
      strand_(strand),
      sink_(&sink) {}

std::string HttpTransfer::HostOf(const std::string& url) {
  Result<Url> parsed = Url::Parse(url);
  return parsed ? parsed->Origin() : "";
}

Result<> HttpTransfer::CheckUrl(const ConnectionPolicy& policy) {
  Url url = TRY(Url::Parse(location_.url));
  return guard_.Admit(url, policy);
}

void HttpTransfer::Begin(CurlEasy easy, const CurlOptions& options, Time now) {
  easy_ = std::move(easy);
  last_activity_ = now;
  CURL* handle = easy_.get();
  PrepareCurl(handle, options, location_.url, guard_);
  request_headers_ = HeaderList(location_.headers);
  if (range_) {
    std::string text = fmt::format("{}-{}", range_->begin, range_->end - 1);
    curl_easy_setopt(handle, CURLOPT_RANGE, text.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, request_headers_.get());
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, kReceiveBuffer);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error_text_);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &HttpTransfer::OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &HttpTransfer::OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
}

CurlEasy HttpTransfer::TakeEasy() {
  // The handle outlives this object: leave no pointer to it behind.
  if (easy_) curl_easy_reset(easy_.get());
  return std::move(easy_);
}

size_t HttpTransfer::OnHeader(char* data, size_t size, size_t count, void* self) {
  return static_cast<HttpTransfer*>(self)->TakeHeader({data, size * count});
}

size_t HttpTransfer::OnBody(char* data, size_t size, size_t count, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  return transfer->TakeBody(std::as_bytes(std::span(data, size * count)));
}

size_t HttpTransfer::TakeHeader(std::string_view line) {
  if (!headers_.AddLine(line)) {
    return Break({Code::kUnavailable, "the answer's headers are over 64 KiB"});
  }
  bool end_of_headers = line == "\r\n" || line == "\n";
  if (!end_of_headers || !HasContent(headers_.status())) return line.size();
  // Before the first byte of the body: what doesn't fit is never brought.
  Encoding encoding = location_.stored_as_is ? Encoding::kLabel : Encoding::kOfTransfer;
  Result<> fits = CheckContent(headers_, range_, SizeOfUrl(location_), encoding);
  return fits ? line.size() : Break(std::move(fits).error());
}

size_t HttpTransfer::TakeBody(std::span<const std::byte> bytes) {
  if (broken_ || bytes.empty()) return 0;
  if (!HasContent(headers_.status())) return TakeErrorBody(bytes);
  if (range_ && received_ + bytes.size() > range_->size()) {
    return Break(
        {Code::kOutOfRange, fmt::format("sent more than the {} bytes asked for", range_->size())});
  }
  if (!Offer(bytes)) return 0;
  if (paused_) return CURL_WRITEFUNC_PAUSE;
  received_ += bytes.size();
  last_activity_ = std::chrono::steady_clock::now();
  return bytes.size();
}

bool HttpTransfer::Offer(std::span<const std::byte> bytes) {
  MutexLock lock(strand_);
  if (sink_ == nullptr) return false;
  paused_ = !sink_->OnBytes(bytes);
  return true;
}

size_t HttpTransfer::TakeErrorBody(std::span<const std::byte> bytes) {
  size_t kept = std::min(bytes.size(), kErrorBodyBytes - error_body_.size());
  error_body_.append(reinterpret_cast<const char*>(bytes.data()), kept);
  // A long explanation isn't worth waiting for; libcurl then ends with a write error, which
  // Status() expects.
  return kept == bytes.size() ? kept : 0;
}

size_t HttpTransfer::Break(Error error) {
  broken_ = true;
  failure_ = std::move(error);
  return 0;
}

void HttpTransfer::Resume(Time now) {
  if (!paused_) return;
  paused_ = false;
  last_activity_ = now;
  // Calls OnBody at once with what libcurl kept; that may pause again.
  CURLcode code = curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
  if (code != CURLE_OK && !broken_) Break(CurlFailure(code, error_text_));
}

std::string HttpTransfer::Server() const {
  Result<Url> url = Url::Parse(location_.url);
  return url ? url->HostAndPort() : "the server";
}

Result<> HttpTransfer::Status(CURLcode code) const {
  if (failure_) return std::unexpected(*failure_);
  if (std::optional<Error> refusal = guard_.Refusal()) return std::unexpected(*std::move(refusal));
  int status = headers_.status();
  if (status >= 200 && !HasContent(status) &&
      (code == CURLE_OK || code == CURLE_WRITE_ERROR || code == CURLE_PARTIAL_FILE)) {
    std::string said = WithoutSecrets(error_body_, location_.url, location_.headers);
    return std::unexpected(AnswerFailure(headers_, said, std::chrono::system_clock::now()));
  }
  bool cut =
      code == CURLE_PARTIAL_FILE || (code == CURLE_OK && range_ && received_ < range_->size());
  if (cut) {
    std::string promised = range_ ? fmt::format(" of {}", range_->size()) : "";
    return Fail(Code::kUnavailable,
                fmt::format("the connection was cut after {}{} bytes", received_, promised));
  }
  if (code == CURLE_OK) return {};
  // libcurl's word for one header that is too long.
  if (code == CURLE_OUT_OF_MEMORY && received_ == 0) {
    return Fail(Code::kUnavailable, "the answer's headers are over 64 KiB");
  }
  return std::unexpected(CurlFailure(code, error_text_));
}

TransferEnd HttpTransfer::Outcome(CURLcode code) const {
  Result<> status = Status(code);
  if (!status) status = std::unexpected(std::move(status).error().Within(Server()));
  return {.status = std::move(status), .http_status = headers_.status()};
}

TransferEnd HttpTransfer::Stalled(std::chrono::milliseconds stalled) const {
  std::string message = fmt::format("{}: nothing came for {}, after {} bytes", Server(),
                                    FormatDuration(stalled), received_);
  return {.status = Fail(Code::kUnavailable, std::move(message)), .http_status = headers_.status()};
}

}  // namespace weighhouse::source
