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
#include <spdlog/spdlog.h>

#include "cache-daemon/api/cache_service.h"
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

Result<Endpoint> MakeEndpoint(Engine& engine, Workers& workers, CacheServiceOptions options) {
  Endpoint endpoint;
  endpoint.service = CreateCacheService(engine, workers, std::move(options));
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
  ~GrpcServer() override { Drain(std::chrono::milliseconds(0)); }

  Result<> AddAdmin(Engine& engine, const ServerOptions& options) {
    admin_ = TRY(MakeEndpoint(engine, workers_,
                              {.access = Access::kAdmin,
                               .draining = Draining(),
                               .configuration = options.configuration,
                               .recent_errors = options.recent_errors,
                               .metrics = options.metrics}));
    return {};
  }

  Result<> Listen(Engine& engine, const ServerOptions& options) {
    allowed_ = WithUs(options.allowed_uids);
    TRY(MakeSocketDirectory(options.socket_directory));
    UnixListener node = TRY(UnixListener::Bind(options.socket_directory + "/" + kNodeSocket));
    UnixListener admin = TRY(UnixListener::Bind(options.socket_directory + "/" + kAdminSocket));
    node_ = TRY(MakeEndpoint(engine, workers_,
                             {.access = Access::kNode,
                              .draining = Draining(),
                              .configuration = options.configuration,
                              .metrics = options.metrics}));
    refusing_ = TRY(MakeEndpoint(engine, workers_,
                                 {.access = Access::kNone,
                                  .refusal = Refusal(),
                                  .draining = Draining(),
                                  .metrics = options.metrics}));
    std::vector<Acceptor::Route> routes;
    routes.push_back({.listener = std::move(node), .take = [this](UniqueFd connection, Peer peer) {
                        Take(*node_.server, std::move(connection), peer);
                      }});
    routes.push_back({.listener = std::move(admin), .take = [this](UniqueFd connection, Peer peer) {
                        Take(*admin_.server, std::move(connection), peer);
                      }});
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
    for (Endpoint* endpoint : {&node_, &admin_, &refusing_}) {
      if (endpoint->server) endpoint->server->Shutdown(deadline);
      endpoint->server.reset();
    }
  }

 private:
  std::stop_token Draining() const { return draining_.get_token(); }

  std::string Refusal() const {
    return fmt::format(
        "this socket serves the uids {}: start weighhouse-cached with --allow-uid to add yours",
        fmt::join(allowed_, ", "));
  }

  void Take(grpc::Server& server, UniqueFd connection, Peer peer) {
    bool allowed = std::ranges::binary_search(allowed_, peer.uid);
    if (!allowed) spdlog::warn("refused a connection of pid {}, uid {}", peer.pid, peer.uid);
    grpc::AddInsecureChannelFromFd(allowed ? &server : refusing_.server.get(),
                                   connection.release());
  }

  std::stop_source draining_;
  std::vector<uid_t> allowed_;
  Workers workers_;
  Endpoint node_, admin_, refusing_;
  std::unique_ptr<Acceptor> acceptor_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(Engine& engine, const ServerOptions& options) {
  // Debian's Abseil looks for circles at every lock of gRPC's, under one spin lock of the process,
  // which many calls at once feel (see csi/main.cc).
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  auto server = std::make_unique<GrpcServer>();
  TRY(server->AddAdmin(engine, options));
  TRY(server->Listen(engine, options));
  return server;
}

Result<std::unique_ptr<Server>> Server::StartInProcess(Engine& engine) {
  auto server = std::make_unique<GrpcServer>();
  TRY(server->AddAdmin(engine, {}));
  return server;
}

}  // namespace weighhouse::api
