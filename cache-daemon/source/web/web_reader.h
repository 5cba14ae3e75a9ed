#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/redirects.h"
#include "cache-daemon/source/secret_digest.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// What is asked of a web server.
struct WebQuestion {
  Url url;
  std::vector<std::string> credentials;  ///< for the URL's own scheme, host and port
  bool refuses_head = false;             ///< a GET for one byte in its place
};

/// What a server says of one file, and where it really lies.
struct WebFile {
  Bytes size = 0;
  /// What tells this version from others (RFC 9110 section 8.8: a weak ETag doesn't); "" if nothing
  /// does.
  std::string version;
  FileLocation location;
};

/// Asks web servers about files and reads small ones. Redirects are followed; credentials stay
/// where they belong, and never go over plain http, though ConnectionPolicy may let it be.
/// Thread-safe.
class WebReader {
 public:
  explicit WebReader(std::shared_ptr<HttpClient> client) : client_(std::move(client)) {}

  /// By HEAD, else by a GET for one byte. kInvalidArgument: no size is to be had, credentials for
  /// plain http, or a redirect to a directory. Else AnswerFailure's codes.
  Result<WebFile> Look(const WebQuestion& question, std::stop_token stop) const;
  /// The text of a file of at most `limit` bytes.
  Result<std::string> Read(const WebQuestion& question, Bytes limit, std::stop_token stop) const;

 private:
  Result<RedirectedResponse> Ask(RedirectedRequest request, std::stop_token stop) const;
  Result<RedirectedResponse> AskForByte(RedirectedRequest request, std::stop_token stop) const;

  const std::shared_ptr<HttpClient> client_;  // shared with the other sources: connections are
};

/// The origin of what lies at `url`: without the query, which may be a secret. What of it isn't
/// known to be a signature may choose the file, and is told apart by its digest.
std::string WebOrigin(const Url& url, const SecretDigest& digest);

}  // namespace weighhouse::source
