#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/units.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source {

enum class HttpMethod { kGet, kHead, kPost, kPut };

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value", secrets included: never in messages
  /// A longer body is kInvalidArgument. 0: only status and headers count, the connection is dropped
  /// if a body comes.
  Bytes body_limit = kMiB;
  std::string
      body;  ///< of kPost (a form, unless a header says otherwise) and kPut; may be a secret
};

struct HttpResponse {
  HttpHeaders headers;
  std::string body;
  int status() const { return headers.status(); }
};

struct HttpClientOptions {
  std::chrono::milliseconds connect_timeout{10000};
  std::chrono::milliseconds total_timeout{60000};  ///< of one request
  std::string ca_file;                             ///< PEM; empty: the system's
  /// Plain http goes past the environment's proxies: a node's metadata services are on the node.
  bool plain_http_directly = false;
};

/// Small requests to the APIs of sources, one after another in the caller's thread: redirects are
/// answers like any other and nothing is tried twice. Connections are kept for later calls.
/// Thread-safe.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The answer, whatever its status. Blocks for at most the timeouts and until `stop`
  /// (kCancelled). kUnavailable names the server and what failed (name, connection, time,
  /// certificate).
  Result<HttpResponse> Send(const HttpRequest& request, std::stop_token stop) EXCLUDES(mutex_);

 private:
  struct Lane;  ///< a libcurl handle with its connections, used by one call at a time

  Result<std::unique_ptr<Lane>> TakeLane() EXCLUDES(mutex_);
  void GiveBack(std::unique_ptr<Lane> lane) EXCLUDES(mutex_);

  const HttpClientOptions options_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
