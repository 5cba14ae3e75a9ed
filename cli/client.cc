#include "cli/client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>

#include "base/unique_fd.h"
#include "cache-daemon/api/server.h"
#include "cli/local_cache.h"
#include "proto/cache.grpc.pb.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectWithin = 5s;
constexpr auto kCallWithin = 60s;
/// Stat asks the source, which may be slow and is asked more than once; the engine bounds that by
/// itself.
constexpr auto kStatWithin = 300s;
constexpr int kMaxAnswerBytes = 256 << 20;  // the listing of a repository with very many files

Error ToError(const grpc::Status& status) {
  return {.code = static_cast<Code>(status.error_code()), .message = status.error_message()};
}

/// The engine, if it is ours, and the server that serves it to us: destroyed after the stub.
struct Local {
  std::unique_ptr<Engine> engine;
  std::unique_ptr<api::Server> server;
};

class GrpcClient final : public Client {
 public:
  GrpcClient(Local local, const std::shared_ptr<grpc::Channel>& channel)
      : local_(std::move(local)), stub_(pb::Cache::NewStub(channel)) {}

  Result<pb::Ready> Acquire(const pb::AcquireRequest& request,
                            const std::function<void(const pb::AcquireUpdate&)>& on_update,
                            std::stop_token stop) override {
    grpc::ClientContext context;
    std::stop_callback cancel(std::move(stop), [&context] { context.TryCancel(); });
    auto stream = stub_->Acquire(&context, request);
    std::optional<pb::Ready> ready;
    pb::AcquireUpdate update;
    while (stream->Read(&update)) {
      on_update(update);
      if (update.has_ready()) ready = update.ready();
    }
    grpc::Status status = stream->Finish();
    if (!status.ok()) return std::unexpected(ToError(status));
    if (!ready)
      return Fail(Code::kInternal, "the daemon ended the call without a result: see its log");
    return *ready;
  }

  Result<pb::VerifySums> Verify(const pb::VerifyRequest& request,
                                const std::function<void(const pb::VerifyUpdate&)>& on_update,
                                std::stop_token stop) override {
    grpc::ClientContext context;
    std::stop_callback cancel(std::move(stop), [&context] { context.TryCancel(); });
    auto stream = stub_->Verify(&context, request);
    std::optional<pb::VerifySums> sums;
    pb::VerifyUpdate update;
    while (stream->Read(&update)) {
      on_update(update);
      if (update.has_sums()) sums = update.sums();
    }
    grpc::Status status = stream->Finish();
    if (!status.ok()) return std::unexpected(ToError(status));
    if (!sums) return Fail(Code::kInternal, "the daemon ended the call without sums: see its log");
    return *sums;
  }

  Result<pb::StatResponse> Stat(const pb::StatRequest& request) override {
    return Call(&pb::Cache::Stub::Stat, request, kStatWithin);
  }
  Result<pb::EvictResponse> Evict(const pb::EvictRequest& request) override {
    return Call(&pb::Cache::Stub::Evict, request, kStatWithin);
  }
  Result<pb::ListResponse> List() override {
    return Call(&pb::Cache::Stub::List, pb::ListRequest(), patience_);
  }
  Result<pb::ListResponse> ListWithUsage() override {
    pb::ListRequest request;
    request.set_usage(true);
    return Call(&pb::Cache::Stub::List, request, patience_);
  }
  Result<pb::CapacityResponse> Capacity() override {
    return Call(&pb::Cache::Stub::Capacity, pb::CapacityRequest(), patience_);
  }
  Result<pb::InfoResponse> Info() override {
    return Call(&pb::Cache::Stub::Info, pb::InfoRequest(), patience_);
  }
  void SetPatience(std::chrono::seconds patience) override { patience_ = patience; }

 private:
  template <class Request, class Response>
  Result<Response> Call(grpc::Status (pb::Cache::Stub::*method)(grpc::ClientContext*,
                                                                const Request&, Response*),
                        const Request& request, std::chrono::seconds within) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + within);
    Response response;
    grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return std::unexpected(ToError(status));
    return response;
  }

  Local local_;
  std::unique_ptr<pb::Cache::Stub> stub_;
  std::chrono::seconds patience_ = kCallWithin;
};

std::unexpected<Failure> NoDaemon(const std::string& socket, std::string_view why) {
  return std::unexpected(
      Failure{.error = {.code = Code::kUnavailable,
                        .message = fmt::format("no daemon at {}: {}", socket, why)},
              .exit_code = kNoDaemon});
}

/// Tries the socket by itself first: gRPC's own error doesn't say why nobody answers.
std::expected<void, Failure> ProbeSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return NoDaemon(path, "the path is too long for a unix socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe) return NoDaemon(path, std::strerror(errno));
  // Where nobody takes connections and the backlog is full, connect() would wait for ever.
  timeval patience{.tv_sec = std::chrono::seconds(kConnectWithin).count(), .tv_usec = 0};
  ::setsockopt(probe.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return {};
  switch (errno) {
    case ENOENT:
    case ECONNREFUSED:
      return NoDaemon(
          path,
          fmt::format("{}; start weighhouse-cached, name its socket with --socket, or work without "
                      "it with --root DIR",
                      std::strerror(errno)));
    case EACCES:
      return NoDaemon(path, "Permission denied; run as root or as the daemon's user");
    case EAGAIN:
      return NoDaemon(path, fmt::format("it took no connection within {} s; weighhouse doctor "
                                        "looks closer, a restart of weighhouse-cached mends it",
                                        kConnectWithin.count()));
    default:
      return NoDaemon(path, std::strerror(errno));
  }
}

std::expected<std::unique_ptr<Client>, Failure> ConnectToDaemon(const std::string& socket) {
  std::expected<void, Failure> probed = ProbeSocket(socket);
  if (!probed) return std::unexpected(probed.error());
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  auto channel =
      grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnectWithin)) {
    return NoDaemon(socket, fmt::format("it takes connections but does not answer within {} s",
                                        kConnectWithin.count()));
  }
  return std::make_unique<GrpcClient>(Local(), channel);
}

Result<std::unique_ptr<Client>> OpenLocal(const Options& options) {
  Local local;
  local.engine = TRY(OpenLocalCache({.root = *options.root,
                                     .hf_endpoint = options.hf_endpoint,
                                     .allow_plain_http = options.allow_plain_http,
                                     .bandwidth_limit = options.bandwidth_limit}));
  local.server = TRY(api::Server::StartInProcess(*local.engine));
  std::shared_ptr<grpc::Channel> channel = local.server->InProcessChannel();
  return std::make_unique<GrpcClient>(std::move(local), channel);
}

}  // namespace

std::expected<std::unique_ptr<Client>, Failure> Client::Connect(const Options& options) {
  if (!options.root) return ConnectToDaemon(options.socket);
  Result<std::unique_ptr<Client>> local = OpenLocal(options);
  if (!local) return std::unexpected(ToFailure(std::move(local).error()));
  return std::move(*local);
}

}  // namespace weighhouse::cli
