#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "csi/progress.h"
#include "proto/cache.grpc.pb.h"

namespace weighhouse::csi {

/// A call under way. Thread-safe.
class DaemonCall {
 public:
  virtual ~DaemonCall() = default;
  /// Sends the request; once.
  virtual void Start() = 0;
  /// Ends the call soon with kCancelled, also before Start. The daemon's fill goes on.
  virtual void Cancel() = 0;
};

/// Talks to weighhouse-cached on its node socket. Thread-safe. Callbacks run on gRPC's threads,
/// once each, in the LogContext that the call was made in, whose request's id the daemon is told.
/// They must not block, and may run before Start returns. All must have run before the client is
/// destroyed.
///
/// Errors have the daemon's own code and message; kUnavailable says that the daemon doesn't answer;
/// codes that say nothing about the request (CANCELLED by the daemon, UNKNOWN, UNIMPLEMENTED, and
/// any that gRPC gave in the daemon's place) become kUnavailable, because kubelet and the
/// provisioner would take some of them as final. kDeadlineExceeded after `timeout`.
class DaemonClient {
 public:
  /// `patience` is how long a call waits for a daemon that is just starting.
  DaemonClient(std::string socket, std::chrono::milliseconds patience);

  template <class T>
  using Done = std::function<void(Result<T>)>;
  using Milliseconds = std::chrono::milliseconds;

  /// Who the daemon is; waits for it for the shorter of `timeout` and the patience.
  std::shared_ptr<DaemonCall> Info(Milliseconds timeout, Done<cache::v1::InfoResponse> done);
  /// Makes a model present and holds it. kDeadlineExceeded after `timeout`; the fill goes on.
  std::shared_ptr<DaemonCall> Acquire(cache::v1::AcquireRequest request, Milliseconds timeout,
                                      std::function<void(const Progress&)> on_progress,
                                      Done<cache::v1::Ready> done);
  /// Ends a lease.
  std::shared_ptr<DaemonCall> Release(const std::string& lease_id, Milliseconds timeout,
                                      Done<cache::v1::ReleaseResponse> done);
  std::shared_ptr<DaemonCall> SyncLeases(cache::v1::SyncLeasesRequest request, Milliseconds timeout,
                                         Done<cache::v1::SyncLeasesResponse> done);
  std::shared_ptr<DaemonCall> CreateVolume(cache::v1::CreateVolumeRequest request,
                                           Milliseconds timeout,
                                           Done<cache::v1::CreateVolumeResponse> done);
  std::shared_ptr<DaemonCall> DeleteVolume(const std::string& volume_id, Milliseconds timeout,
                                           Done<cache::v1::DeleteVolumeResponse> done);
  std::shared_ptr<DaemonCall> GetVolume(const std::string& volume_id, Milliseconds timeout,
                                        Done<cache::v1::GetVolumeResponse> done);
  std::shared_ptr<DaemonCall> Capacity(cache::v1::CapacityRequest request, Milliseconds timeout,
                                       Done<cache::v1::CapacityResponse> done);

 private:
  using Stub = cache::v1::Cache::Stub;
  template <class Request, class Response>
  using Method = void (Stub::async::*)(grpc::ClientContext*, const Request*, Response*,
                                       std::function<void(grpc::Status)>);
  /// A call of one request and one response, which fails at once where nobody answers.
  template <class Request, class Response>
  std::shared_ptr<DaemonCall> Unary(Method<Request, Response> method, Request request,
                                    Milliseconds timeout, Done<Response> done);

  const std::string socket_;
  const std::chrono::milliseconds patience_;
  const std::unique_ptr<Stub> stub_;
};

}  // namespace weighhouse::csi
