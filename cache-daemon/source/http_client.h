#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "base/units.h"
#include "cache-daemon/source/connection_guard.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source {

enum class HttpMethod { kGet, kHead, kPost, kPut, kPatch };

struct HttpRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value", secrets included: never in messages
  UrlFrom url_from = UrlFrom::kSource;
  /// A longer body is kInvalidArgument. 0: only status and headers count, the connection is dropped
  /// if a body comes.
  Bytes body_limit = kMiB;
  std::string
      body;  ///< of kPost (a form, unless a header says otherwise), kPut, kPatch; may be a secret
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
  std::shared_ptr<const ConnectionPolicy> policy;  ///< null: the default one
  /// What bodies over a MiB may take together, on their way. However many sources send as much as
  /// they may at the same moment, the daemon's memory doesn't go with it.
  Bytes large_bodies = 160 * kMiB;
  /// Of every request: a node's metadata services are asked by the program itself.
  UrlFrom url_from = UrlFrom::kSource;
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

  /// Whom it may connect to; for clients beside it.
  const std::shared_ptr<const ConnectionPolicy>& policy() const { return options_.policy; }

  /// The answer, whatever its status. Blocks for at most the timeouts and until `stop`
  /// (kCancelled). kUnavailable names the server and what failed (name, connection, time,
  /// certificate); kInvalidArgument and kPermissionDenied are the policy's refusals, before
  /// anything is sent.
  Result<HttpResponse> Send(const HttpRequest& request, std::stop_token stop) EXCLUDES(mutex_);

 private:
  struct Lane;  ///< a libcurl handle with its connections, used by one call at a time

  Result<std::unique_ptr<Lane>> TakeLane() EXCLUDES(mutex_);
  void GiveBack(std::unique_ptr<Lane> lane) EXCLUDES(mutex_);

  const HttpClientOptions options_;
  std::atomic<Bytes> large_bodies_ = 0;  ///< on their way
  Mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
