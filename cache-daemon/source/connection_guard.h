#pragma once

#include <memory>
#include <optional>
#include <string>

#include <curl/curl.h>

#include "base/error.h"
#include "cache-daemon/source/connection_policy.h"

namespace weighhouse::source {

/// Who named the URL of a request.
enum class UrlFrom {
  kSource,  ///< a user or a server: the rules count
  /// The program itself, of a service that answers it and nobody else (a cloud's own credentials):
  /// neither scheme nor address is judged, and no proxy is asked for plain http. Never for what a
  /// user or a server can influence.
  kProgram,
};

/// Judges one request's connection, kept ones too, by the address that it really goes to. libcurl
/// holds its address from `Attach` until its handle is reset. Used by one thread at a time.
///
/// Through a proxy it is the proxy that resolves and connects, so there only addresses that stand
/// in the URL are judged, before anything is sent; the proxy's own is the admin's word.
class ConnectionGuard {
 public:
  /// Begins anew for a request to `url`. Errors: CheckScheme's, and CheckAddress' for an address
  /// that stands in the URL.
  Result<> Admit(const Url& url, const ConnectionPolicy& policy, UrlFrom from = UrlFrom::kSource);
  /// Sets callbacks and proxy on `easy`. After Admit, which allowed it.
  void Attach(CURL* easy);
  /// Why no connection was made or used, if that was its doing.
  std::optional<Error> Refusal() const;

 private:
  static curl_socket_t OnOpenSocket(void* self, curlsocktype purpose, curl_sockaddr* address);
  static int OnRequest(void* self, char* remote, char* local, int remote_port, int local_port);
  /// Keeps why, if not.
  bool Allows(const std::optional<IpAddress>& address);

  std::shared_ptr<const ConnectionRules> rules_;  // of the moment when the request began
  Url url_;
  std::string proxy_;  ///< empty: none is asked
  bool judges_ = true;
  bool connected_ = false;  ///< an address was allowed
  std::optional<Error> refusal_;
};

}  // namespace weighhouse::source
