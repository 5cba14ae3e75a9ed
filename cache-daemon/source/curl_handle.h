#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <curl/curl.h>

#include "base/error.h"
#include "cache-daemon/source/connection_guard.h"

namespace weighhouse::source {

struct CurlEasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct CurlMultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct CurlListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlEasy = std::unique_ptr<CURL, CurlEasyDeleter>;
using CurlMulti = std::unique_ptr<CURLM, CurlMultiDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlListDeleter>;

/// What every request of ours has in common.
struct CurlOptions {
  std::chrono::milliseconds connect_timeout{10000};
  std::string ca_file;  ///< PEM file of certificate authorities; empty: the system's
  std::shared_ptr<const ConnectionPolicy> policy;  ///< never null where requests are sent
};

/// `configured`, else the environment's SSL_CERT_FILE (which only the curl program reads by
/// itself); "" for the system's.
std::string AuthoritiesFile(const std::string& configured);

/// Makes a handle; libcurl is initialised before the first (thread-safe). kResourceExhausted
/// without memory.
Result<CurlEasy> NewCurlEasy();
Result<CurlMulti> NewCurlMulti();

/// kFailedPrecondition if the certificate authorities of `options` can't be read: better said at
/// start than at each request.
Result<> CheckCurlOptions(const CurlOptions& options);

/// Resets `easy` (its connections stay) and sets what is common: http and https only, HTTP/1.1, no
/// redirects, paths verbatim, no signals, our user agent, and `guard`, which has admitted `url`.
void PrepareCurl(CURL* easy, const CurlOptions& options, const std::string& url,
                 ConnectionGuard& guard);

/// "Name: value" lines as libcurl takes them, `Accept-Encoding: identity` added where
/// they don't say another.
CurlList HeaderList(const std::vector<std::string>& headers);

/// `policy`, or one that allows nothing but the default.
std::shared_ptr<const ConnectionPolicy> PolicyOrDefault(
    std::shared_ptr<const ConnectionPolicy> policy);

/// What `code` means: kUnavailable for what may pass, bad certificates included. `detail` is
/// libcurl's own text.
Error CurlFailure(CURLcode code, const char* detail);

/// `text` of a server, printable and at most 500 bytes, without what was secret in the request:
/// `headers` and their values, the user and password that Basic encodes, and the query values of
/// `url`; nor the beginnings of such (of 8 bytes and more) where the text was cut off, at its end
/// or before an ellipsis.
std::string WithoutSecrets(std::string text, const std::string& url,
                           const std::vector<std::string>& headers);

}  // namespace weighhouse::source
