#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/unique_fd.h"

namespace weighhouse::source {

/// An HTTP server on a loopback port of the kernel's choice that sends, byte for byte, what a
/// test's function says: for answers that no decent server gives. Thread-safe.
class ScriptedServer {
 public:
  struct Request {
    std::string method, target;
    std::string head;    ///< all of the request as it came, up to the empty line
    int connection = 0;  ///< counted from 0
    std::string body;    ///< as long as Content-Length says
  };
  struct Reply {
    std::string bytes;
    enum class Then {
      kKeepAlive,
      kClose,
      kHold
    } then = Then::kKeepAlive;  ///< kHold: silence until the server ends
  };
  using Script = std::function<Reply(const Request&)>;

  /// `script` is called from the server's threads.
  explicit ScriptedServer(Script script);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  /// `http://127.0.0.1:P` + `path`; `host` may be another name of the loopback, which is another
  /// origin.
  std::string Url(const std::string& path, const std::string& host = "127.0.0.1") const;
  std::vector<Request> Requests() const EXCLUDES(mutex_);

 private:
  void Accept();
  void Serve(UniqueFd socket, int connection);
  /// False once the server ends.
  bool AwaitReadable(int fd) const;

  const Script script_;
  UniqueFd listener_;
  UniqueFd ended_;  ///< an eventfd, readable once the server ends
  int port_ = 0;
  mutable Mutex mutex_;
  std::vector<Request> requests_ GUARDED_BY(mutex_);
  std::vector<std::jthread> connections_;  // of the accepting thread, until it has ended
  std::jthread acceptor_;
};

/// A whole answer: status line, `headers` ("Name: value" lines), Content-Length and `body`.
std::string HttpAnswer(int status, const std::vector<std::string>& headers,
                       const std::string& body);

}  // namespace weighhouse::source
