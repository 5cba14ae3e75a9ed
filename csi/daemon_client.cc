#include "csi/daemon_client.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include "base/log_context.h"
#include "base/text.h"

namespace weighhouse::csi {
namespace {

constexpr size_t kMaxMessage = 2000;

std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
  grpc::ChannelArguments arguments;
  // The daemon is on this machine: after its restart nobody gains by waiting.
  // (MIN_RECONNECT_BACKOFF stays: gRPC also takes it as the time that one attempt to connect may
  // need.)
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

/// How a call ended for its caller: a cancellation of ours stays one, the daemon's says that it is
/// going down. Only what the daemon did not say itself is about the daemon: it also answers
/// UNAVAILABLE where the source is.
Error ToError(const grpc::Status& status, bool cancelled_here, bool answered,
              const std::string& socket) {
  std::string message = Printable(status.error_message(), kMaxMessage);
  if (!answered) message = fmt::format("cache daemon at {}: {}", socket, message);
  switch (status.error_code()) {
    case grpc::StatusCode::CANCELLED:
      if (cancelled_here) return {.code = Code::kCancelled, .message = "cancelled"};
      [[fallthrough]];
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::UNIMPLEMENTED:
      return {.code = Code::kUnavailable, .message = std::move(message)};
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return {.code = Code::kDeadlineExceeded, .message = std::move(message)};
    default:
      return {.code = answered ? static_cast<Code>(status.error_code()) : Code::kUnavailable,
              .message = std::move(message)};
  }
}

/// What the calls have in common. Keeps itself alive from Start until the last callback.
class CallBase : public DaemonCall {
 public:
  CallBase(std::string socket, std::chrono::milliseconds timeout)
      : log_(LogContext::Current()), socket_(std::move(socket)) {
    context_.set_deadline(std::chrono::system_clock::now() + timeout);
    if (!log_.request().empty()) {
      context_.AddMetadata("x-request-id", std::string(log_.request()));
    }
  }
  void Cancel() override {
    cancelled_ = true;
    context_.TryCancel();
  }

 protected:
  Error Failure(const grpc::Status& status) const {
    bool answered = context_.GetServerTrailingMetadata().contains("weighhouse-answered");
    return ToError(status, cancelled_, answered, socket_);
  }
  grpc::ClientContext context_;
  const LogContext log_;  // of who calls: the callback's too

 private:
  const std::string socket_;
  std::atomic<bool> cancelled_ = false;
};

template <class Request, class Response>
class UnaryCall final : public CallBase,
                        public std::enable_shared_from_this<UnaryCall<Request, Response>> {
 public:
  struct Parts {
    cache::v1::Cache::Stub* stub;
    void (cache::v1::Cache::Stub::async::*method)(grpc::ClientContext*, const Request*, Response*,
                                                  std::function<void(grpc::Status)>);
    Request request;
    DaemonClient::Done<Response> done;
    bool wait_for_ready = false;
  };
  UnaryCall(std::string socket, std::chrono::milliseconds timeout, Parts parts)
      : CallBase(std::move(socket), timeout), parts_(std::move(parts)) {
    context_.set_wait_for_ready(parts_.wait_for_ready);
  }
  void Start() override {
    auto finish = [self = this->shared_from_this()](const grpc::Status& status) {
      self->Finish(status);
    };
    (parts_.stub->async()->*parts_.method)(&context_, &parts_.request, &response_, finish);
  }

 private:
  void Finish(const grpc::Status& status) {
    LogScope scope(log_);
    if (status.ok()) {
      parts_.done(std::move(response_));
    } else {
      parts_.done(std::unexpected(Failure(status)));
    }
  }
  Parts parts_;
  Response response_;
};

class AcquireCall final : public CallBase,
                          public grpc::ClientReadReactor<cache::v1::AcquireUpdate>,
                          public std::enable_shared_from_this<AcquireCall> {
 public:
  struct Parts {
    cache::v1::Cache::Stub* stub;
    cache::v1::AcquireRequest request;
    std::function<void(const Progress&)> on_progress;
    DaemonClient::Done<cache::v1::Ready> done;
  };
  AcquireCall(std::string socket, std::chrono::milliseconds timeout, Parts parts)
      : CallBase(std::move(socket), timeout), parts_(std::move(parts)) {}

  void Start() override {
    self_ = shared_from_this();
    parts_.stub->async()->Acquire(&context_, &parts_.request, this);
    StartRead(&update_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (update_.has_ready()) ready_ = update_.ready();
    if (update_.has_filling()) {
      const cache::v1::Filling& filling = update_.filling();
      parts_.on_progress({.bytes_done = filling.bytes_done(),
                          .bytes_total = filling.bytes_total(),
                          .bytes_per_second = filling.bytes_per_second(),
                          .waiting_for = filling.waiting_for()});
    }
    StartRead(&update_);
  }

  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<AcquireCall> self = std::move(self_);
    LogScope scope(log_);
    if (!status.ok()) {
      parts_.done(std::unexpected(Failure(status)));
    } else if (!ready_) {
      parts_.done(Fail(Code::kUnavailable, "the cache daemon ended the call without a tree"));
    } else {
      parts_.done(std::move(*ready_));
    }
  }

 private:
  Parts parts_;
  cache::v1::AcquireUpdate update_;
  std::optional<cache::v1::Ready> ready_;
  std::shared_ptr<AcquireCall> self_;
};

}  // namespace

DaemonClient::DaemonClient(std::string socket, std::chrono::milliseconds patience)
    : socket_(std::move(socket)),
      patience_(patience),
      stub_(cache::v1::Cache::NewStub(Connect(socket_))) {}

std::shared_ptr<DaemonCall> DaemonClient::Info(Milliseconds timeout,
                                               Done<cache::v1::InfoResponse> done) {
  using Call = UnaryCall<cache::v1::InfoRequest, cache::v1::InfoResponse>;
  // A deadline that passes here says nothing but that the daemon doesn't answer.
  auto translated = [done = std::move(done),
                     socket = socket_](Result<cache::v1::InfoResponse> response) {
    if (!response && response.error().code == Code::kDeadlineExceeded) {
      response = Fail(Code::kUnavailable,
                      fmt::format("the cache daemon does not answer on {}: is weighhouse-cached "
                                  "running?",
                                  socket));
    }
    done(std::move(response));
  };
  return std::make_shared<Call>(socket_, std::min(timeout, patience_),
                                Call::Parts{.stub = stub_.get(),
                                            .method = &cache::v1::Cache::Stub::async::Info,
                                            .request = {},
                                            .done = std::move(translated),
                                            .wait_for_ready = true});
}

std::shared_ptr<DaemonCall> DaemonClient::Acquire(cache::v1::AcquireRequest request,
                                                  Milliseconds timeout,
                                                  std::function<void(const Progress&)> on_progress,
                                                  Done<cache::v1::Ready> done) {
  return std::make_shared<AcquireCall>(socket_, timeout,
                                       AcquireCall::Parts{.stub = stub_.get(),
                                                          .request = std::move(request),
                                                          .on_progress = std::move(on_progress),
                                                          .done = std::move(done)});
}

template <class Request, class Response>
std::shared_ptr<DaemonCall> DaemonClient::Unary(Method<Request, Response> method, Request request,
                                                Milliseconds timeout, Done<Response> done) {
  using Call = UnaryCall<Request, Response>;
  return std::make_shared<Call>(socket_, timeout,
                                typename Call::Parts{.stub = stub_.get(),
                                                     .method = method,
                                                     .request = std::move(request),
                                                     .done = std::move(done)});
}

std::shared_ptr<DaemonCall> DaemonClient::Release(const std::string& lease_id, Milliseconds timeout,
                                                  Done<cache::v1::ReleaseResponse> done) {
  cache::v1::ReleaseRequest request;
  request.set_lease_id(lease_id);
  return Unary(&Stub::async::Release, std::move(request), timeout, std::move(done));
}

std::shared_ptr<DaemonCall> DaemonClient::SyncLeases(cache::v1::SyncLeasesRequest request,
                                                     Milliseconds timeout,
                                                     Done<cache::v1::SyncLeasesResponse> done) {
  return Unary(&Stub::async::SyncLeases, std::move(request), timeout, std::move(done));
}

std::shared_ptr<DaemonCall> DaemonClient::CreateVolume(cache::v1::CreateVolumeRequest request,
                                                       Milliseconds timeout,
                                                       Done<cache::v1::CreateVolumeResponse> done) {
  return Unary(&Stub::async::CreateVolume, std::move(request), timeout, std::move(done));
}

std::shared_ptr<DaemonCall> DaemonClient::DeleteVolume(const std::string& volume_id,
                                                       Milliseconds timeout,
                                                       Done<cache::v1::DeleteVolumeResponse> done) {
  cache::v1::DeleteVolumeRequest request;
  request.set_volume_id(volume_id);
  return Unary(&Stub::async::DeleteVolume, std::move(request), timeout, std::move(done));
}

std::shared_ptr<DaemonCall> DaemonClient::GetVolume(const std::string& volume_id,
                                                    Milliseconds timeout,
                                                    Done<cache::v1::GetVolumeResponse> done) {
  cache::v1::GetVolumeRequest request;
  request.set_volume_id(volume_id);
  return Unary(&Stub::async::GetVolume, std::move(request), timeout, std::move(done));
}

std::shared_ptr<DaemonCall> DaemonClient::Capacity(cache::v1::CapacityRequest request,
                                                   Milliseconds timeout,
                                                   Done<cache::v1::CapacityResponse> done) {
  return Unary(&Stub::async::Capacity, std::move(request), timeout, std::move(done));
}

}  // namespace weighhouse::csi
