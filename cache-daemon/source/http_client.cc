#include "cache-daemon/source/http_client.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {
namespace {

/// Connections beyond these are closed after use.
constexpr size_t kIdleLanes = 16;
/// Bodies up to this are for everybody.
constexpr Bytes kSmallBody = kMiB;

/// What one answer takes of the memory for all.
class BodyBudget {
 public:
  BodyBudget(std::atomic<Bytes>& taken, Bytes most) : all_(taken), most_(most) {}
  ~BodyBudget() { all_ -= own_; }
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;

  /// To `bytes` in all; false if that is too much.
  bool Grow(Bytes bytes) {
    if (bytes <= kSmallBody || bytes <= own_) return true;
    Bytes more = bytes - own_;
    if (all_ += more; all_ <= most_) {
      own_ = bytes;
      return true;
    }
    all_ -= more;
    return false;
  }

 private:
  std::atomic<Bytes>& all_;
  const Bytes most_;
  Bytes own_ = 0;
};

/// What libcurl's callbacks collect of one answer.
struct Collected {
  HttpResponse response;
  Bytes body_limit = 0;
  bool headers_complete = false;
  bool headers_too_long = false;
  bool body_too_long = false;
  BodyBudget* budget = nullptr;
  bool no_memory = false;  ///< others have it
};

/// Makes room in the body for `more` bytes; false if others have it.
bool MakeRoom(Collected& collected, size_t more) {
  std::string& body = collected.response.body;
  size_t needed = body.size() + more;
  if (needed <= body.capacity()) return true;
  // Not doubled as a string does it by itself: a listing of 64 MiB would take three times as much.
  size_t wanted = std::max(needed, body.capacity() + body.capacity() / 2);
  wanted = std::max(needed, std::min<size_t>(wanted, collected.body_limit));
  if (!collected.budget->Grow(wanted)) return false;
  body.reserve(wanted);
  return true;
}

size_t OnHeader(char* data, size_t size, size_t count, void* context) {
  auto* collected = static_cast<Collected*>(context);
  std::string_view line(data, size * count);
  collected->headers_too_long = !collected->response.headers.AddLine(line);
  collected->headers_complete = line == "\r\n" && collected->response.status() >= 200;
  return collected->headers_too_long ? 0 : size * count;
}

size_t OnBody(char* data, size_t size, size_t count, void* context) {
  auto* collected = static_cast<Collected*>(context);
  std::string& body = collected->response.body;
  collected->body_too_long = body.size() + size * count > collected->body_limit;
  collected->no_memory = !collected->body_too_long && !MakeRoom(*collected, size * count);
  if (collected->body_too_long || collected->no_memory) return 0;
  body.append(data, size * count);
  return size * count;
}

/// Runs the one transfer of `multi` to its end. CURLE_ABORTED_BY_CALLBACK if stopped.
CURLcode RunToEnd(CURLM* multi, std::stop_token stop) {
  // Polling would notice a stop only at the next event; the wake-up ends it at once.
  std::stop_callback wake(stop, [multi] { curl_multi_wakeup(multi); });
  int running = 1;
  while (!stop.stop_requested()) {
    if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
    int left = 0;
    if (CURLMsg* message = curl_multi_info_read(multi, &left)) return message->data.result;
    if (running == 0) return CURLE_OUT_OF_MEMORY;
    // libcurl shortens this to its own timers.
    if (curl_multi_poll(multi, nullptr, 0, 60000, nullptr) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
  }
  return CURLE_ABORTED_BY_CALLBACK;
}

void SetMethod(CURL* handle, const HttpRequest& request) {
  curl_easy_setopt(handle, CURLOPT_NOBODY, request.method == HttpMethod::kHead ? 1L : 0L);
  if (request.method == HttpMethod::kGet || request.method == HttpMethod::kHead) return;
  curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.c_str());
  if (request.method == HttpMethod::kPut) curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, "PUT");
  if (request.method == HttpMethod::kPatch) {
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, "PATCH");
  }
}

}  // namespace

struct HttpClient::Lane {
  CurlMulti multi;  // holds the connections
  CurlEasy easy;
  ConnectionGuard guard;
  char error[CURL_ERROR_SIZE] = "";

  /// Performs `request`; the outcome is libcurl's.
  CURLcode Perform(const HttpRequest& request, const HttpClientOptions& options,
                   Collected& collected, std::stop_token stop);
};

CURLcode HttpClient::Lane::Perform(const HttpRequest& request, const HttpClientOptions& options,
                                   Collected& collected, std::stop_token stop) {
  CURL* handle = easy.get();
  PrepareCurl(handle, {.connect_timeout = options.connect_timeout, .ca_file = options.ca_file},
              request.url, guard);
  CurlList headers = HeaderList(request.headers);
  error[0] = '\0';
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, error);
  SetMethod(handle, request);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(options.total_timeout.count()));
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &collected);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &collected);
  if (curl_multi_add_handle(multi.get(), handle) != CURLM_OK) return CURLE_OUT_OF_MEMORY;
  CURLcode code = RunToEnd(multi.get(), std::move(stop));
  curl_multi_remove_handle(multi.get(), handle);
  // `headers` and `collected` end with the call: leave no pointer to them behind.
  curl_easy_reset(handle);
  return code;
}

HttpClient::HttpClient(HttpClientOptions options)
    : options_({.connect_timeout = options.connect_timeout,
                .total_timeout = options.total_timeout,
                .ca_file = std::move(options.ca_file),
                .policy = PolicyOrDefault(std::move(options.policy)),
                .large_bodies = options.large_bodies,
                .url_from = options.url_from}) {}
HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::Send(const HttpRequest& request, std::stop_token stop) {
  Url url = TRY(Url::Parse(request.url));
  std::unique_ptr<Lane> lane = TRY(TakeLane());
  UrlFrom from = options_.url_from == UrlFrom::kProgram ? UrlFrom::kProgram : request.url_from;
  Result<> admitted = lane->guard.Admit(url, *options_.policy, from);
  if (!admitted) {
    GiveBack(std::move(lane));
    return std::unexpected(std::move(admitted).error());
  }
  BodyBudget budget(large_bodies_, options_.large_bodies);
  Collected collected{.body_limit = request.body_limit, .budget = &budget};
  CURLcode code = lane->Perform(request, options_, collected, std::move(stop));
  std::string detail = lane->error;
  std::optional<Error> refusal = lane->guard.Refusal();
  GiveBack(std::move(lane));
  if (refusal) return std::unexpected(*std::move(refusal));
  // libcurl's word for one line that is too long.
  bool line_too_long = code == CURLE_OUT_OF_MEMORY && !collected.headers_complete;
  if (collected.headers_too_long || line_too_long) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}: answers over {} KiB of headers", url.HostAndPort(),
                            HttpHeaders::kMaxBytes / 1024));
  }
  // Where only the headers count, it is of no interest how the body ends.
  if (request.body_limit == 0 && collected.headers_complete) return std::move(collected.response);
  if (collected.body_too_long) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{}: the answer is longer than {}", url.HostAndPort(),
                            FormatBytes(request.body_limit)));
  }
  if (collected.no_memory) {
    return Fail(Code::kUnavailable,
                fmt::format("{}: its answer is long, and others on their way take the memory for "
                            "such: try again",
                            url.HostAndPort()));
  }
  if (code != CURLE_OK) {
    return std::unexpected(CurlFailure(code, detail.c_str()).Within(url.HostAndPort()));
  }
  return std::move(collected.response);
}

Result<std::unique_ptr<HttpClient::Lane>> HttpClient::TakeLane() {
  {
    MutexLock lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Lane> lane = std::move(idle_.back());
      idle_.pop_back();
      return lane;
    }
  }
  auto lane = std::make_unique<Lane>();
  lane->multi = TRY(NewCurlMulti());
  lane->easy = TRY(NewCurlEasy());
  return lane;
}

void HttpClient::GiveBack(std::unique_ptr<Lane> lane) {
  MutexLock lock(mutex_);
  if (idle_.size() < kIdleLanes) idle_.push_back(std::move(lane));
}

}  // namespace weighhouse::source
