#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cache-daemon/api/configuration_status.h"
#include "cache-daemon/api/recent_error.h"
#include "cache-daemon/engine/engine.h"

namespace grpc {
class Channel;
}

namespace weighhouse::api {

struct ServerOptions {
  /// Made (0755) if its parent is there. The sockets in it: `node.sock`, `admin.sock` and
  /// `watch.sock`.
  std::string socket_directory;
  /// Who may connect to the first two besides uid 0 and our own uid. Another user's calls are
  /// answered kPermissionDenied.
  std::vector<uid_t> allowed_uids;
  /// The same for `watch.sock`.
  std::vector<uid_t> allowed_watch_uids = {};
  /// What Info says of the configuration.
  ConfigurationStatusSource configuration = nullptr;
  /// What Info says on the admin socket went wrong lately.
  RecentErrorSource recent_errors = nullptr;
  metrics::CallMetrics metrics;  ///< of a registry that outlives the server
};

/// Serves an engine by gRPC: on three unix sockets, or only inside this process. Thread-safe. The
/// engine outlives it.
class Server {
 public:
  static constexpr const char* kNodeSocket = "node.sock";
  static constexpr const char* kAdminSocket = "admin.sock";
  static constexpr const char* kWatchSocket = "watch.sock";

  /// Listens when it returns. For the errors see UnixListener::Bind.
  static Result<std::unique_ptr<Server>> Start(Engine& engine, const ServerOptions& options);
  /// Without sockets, for a program that carries its engine along.
  static Result<std::unique_ptr<Server>> StartInProcess(Engine& engine);
  /// Drains without patience.
  virtual ~Server() = default;

  /// A channel to this server, with an admin's rights.
  virtual std::shared_ptr<grpc::Channel> InProcessChannel() = 0;
  /// Stops taking connections and calls, ends the streams with kUnavailable, and waits for the
  /// calls under way; those still there after `patience` are cancelled, but one that blocks in the
  /// engine is waited for. Once.
  virtual void Drain(std::chrono::milliseconds patience) = 0;
};

}  // namespace weighhouse::api
