#include "cache-daemon/api/server.h"

#include <absl/synchronization/mutex.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <stop_token>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <grpcpp/channel.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include "base/log.h"
#include "cache-daemon/api/cache_service.h"
#include "cache-daemon/api/publish_watch.h"
#include "cache-daemon/api/unix_listener.h"

namespace weighhouse::api {
namespace {

constexpr int kMaxCallsPerConnection = 256;
constexpr int kMaxRequestBytes = 16 << 20;  // SyncLeases of a node with thousands of mounts

/// One kind of access, and the gRPC server that gives it.
struct Endpoint {
  std::unique_ptr<grpc::Service> service;
  std::unique_ptr<grpc::Server> server;  // after the service: destroyed first
};

Result<Endpoint> MakeEndpoint(Engine& engine, Workers& workers, PublishWatch& watch,
                              CacheServiceOptions options) {
  Endpoint endpoint;
  endpoint.service = CreateCacheService(engine, workers, watch, std::move(options));
  grpc::ServerBuilder builder;
  builder.RegisterService(endpoint.service.get());
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  endpoint.server = builder.BuildAndStart();
  if (!endpoint.server) return Fail(Code::kInternal, "gRPC could not start a server");
  return endpoint;
}

std::vector<uid_t> WithUs(std::vector<uid_t> uids) {
  uids.push_back(0);
  uids.push_back(::geteuid());
  std::ranges::sort(uids);
  uids.erase(std::ranges::unique(uids).begin(), uids.end());
  return uids;
}

Result<> MakeSocketDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return FailErrno(errno,
                   fmt::format("make the socket directory {} (make it yourself, owned by uid {}, "
                               "or choose another with --socket-directory)",
                               path, ::geteuid()));
}

class GrpcServer final : public Server {
 public:
  explicit GrpcServer(Engine& engine) : engine_(engine), watch_(engine) {}
  ~GrpcServer() override { Drain(std::chrono::milliseconds(0)); }

  Result<> AddAdmin(const ServerOptions& options) {
    admin_ = TRY(Make(Access::kAdmin, options));
    return {};
  }

  Result<> Listen(const ServerOptions& options) {
    users_.allowed = WithUs(options.allowed_uids);
    watchers_.allowed = WithUs(options.allowed_watch_uids);
    TRY(MakeSocketDirectory(options.socket_directory));
    std::string prefix = options.socket_directory + "/";
    UnixListener node = TRY(UnixListener::Bind(prefix + kNodeSocket));
    UnixListener admin = TRY(UnixListener::Bind(prefix + kAdminSocket));
    UnixListener watch = TRY(UnixListener::Bind(prefix + kWatchSocket));
    node_ = TRY(Make(Access::kNode, options));
    watcher_ = TRY(Make(Access::kWatch, options));
    users_.refusing = TRY(Make(Access::kNone, options, Refusal(users_, "--allow-uid")));
    watchers_.refusing = TRY(Make(Access::kNone, options, Refusal(watchers_, "--allow-watch-uid")));
    std::vector<Acceptor::Route> routes;
    routes.push_back(RouteTo(node_, users_, std::move(node)));
    routes.push_back(RouteTo(admin_, users_, std::move(admin)));
    routes.push_back(RouteTo(watcher_, watchers_, std::move(watch)));
    acceptor_ = TRY(Acceptor::Start(std::move(routes)));
    return {};
  }

  std::shared_ptr<grpc::Channel> InProcessChannel() override {
    return admin_.server->InProcessChannel(grpc::ChannelArguments());
  }

  void Drain(std::chrono::milliseconds patience) override {
    acceptor_.reset();
    draining_.request_stop();
    auto deadline = std::chrono::system_clock::now() + patience;
    for (Endpoint* endpoint : {&node_, &admin_, &watcher_, &users_.refusing, &watchers_.refusing}) {
      if (endpoint->server) endpoint->server->Shutdown(deadline);
      endpoint->server.reset();
    }
  }

 private:
  /// Who may connect, and where those read why who may not.
  struct Guests {
    std::vector<uid_t> allowed;  // sorted
    Endpoint refusing;
  };

  static std::string Refusal(const Guests& guests, std::string_view flag) {
    return fmt::format(
        "this socket serves the uids {}: start weighhouse-cached with {} to add yours",
        fmt::join(guests.allowed, ", "), flag);
  }

  Result<Endpoint> Make(Access access, const ServerOptions& options, std::string refusal = "") {
    return MakeEndpoint(
        engine_, workers_, watch_,
        {.access = access,
         .refusal = std::move(refusal),
         .draining = draining_.get_token(),
         .configuration = options.configuration,
         .recent_errors = access == Access::kAdmin ? options.recent_errors : nullptr,
         .metrics = options.metrics});
  }

  static Acceptor::Route RouteTo(Endpoint& endpoint, Guests& guests, UnixListener listener) {
    std::string path = listener.path();
    auto take = [&endpoint, &guests, path](UniqueFd connection, Peer peer) {
      bool allowed = std::ranges::binary_search(guests.allowed, peer.uid);
      if (!allowed) {
        LogRepeated(LogLevel::kWarning, fmt::format("refused a connection of pid {}, uid {} to {}",
                                                    peer.pid, peer.uid, path));
      }
      Endpoint& taking = allowed ? endpoint : guests.refusing;
      grpc::AddInsecureChannelFromFd(taking.server.get(), connection.release());
    };
    return {.listener = std::move(listener), .take = std::move(take)};
  }

  Engine& engine_;
  std::stop_source draining_;
  Workers workers_;
  PublishWatch watch_;
  Endpoint node_, admin_, watcher_;
  Guests users_, watchers_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(Engine& engine, const ServerOptions& options) {
  // Debian's Abseil looks for circles at every lock of gRPC's, under one spin lock of the process,
  // which many calls at once feel (see csi/main.cc).
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  auto server = std::make_unique<GrpcServer>(engine);
  TRY(server->AddAdmin(options));
  TRY(server->Listen(options));
  return server;
}

Result<std::unique_ptr<Server>> Server::StartInProcess(Engine& engine) {
  auto server = std::make_unique<GrpcServer>(engine);
  TRY(server->AddAdmin({}));
  return server;
}

}  // namespace weighhouse::api
