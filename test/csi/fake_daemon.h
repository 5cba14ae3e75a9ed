#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "base/mutex.h"
#include "proto/cache.grpc.pb.h"

namespace weighhouse::csi {

/// A cache daemon that does what the test says. Listens on a unix socket from Start to Stop.
/// Thread-safe.
class FakeDaemon final : private cache::v1::Cache::Service {
 public:
  using Writer = grpc::ServerWriter<cache::v1::AcquireUpdate>;
  /// Answers one Acquire; runs on a thread of the server.
  using Script =
      std::function<grpc::Status(const cache::v1::AcquireRequest&, Writer&, grpc::ServerContext&)>;

  FakeDaemon(std::string socket, std::string cache_root);
  ~FakeDaemon() override { Stop(); }
  void Start();
  void Stop();

  void SetScript(Script script) EXCLUDES(mutex_);
  void SetInfo(cache::v1::InfoResponse info) EXCLUDES(mutex_);
  const cache::v1::InfoResponse& true_info() const { return true_info_; }

  std::vector<cache::v1::AcquireRequest> acquires() const EXCLUDES(mutex_);
  std::vector<std::string> releases() const EXCLUDES(mutex_);
  /// How often somebody asked who it is.
  size_t infos() const EXCLUDES(mutex_);
  /// From now on Info waits until its caller goes, or `Open`.
  void HoldInfos() EXCLUDES(mutex_);
  void WaitForInfos(size_t count) EXCLUDES(mutex_);
  std::vector<cache::v1::SyncLeasesRequest> syncs() const EXCLUDES(mutex_);
  /// Claims are remembered as the contract says, without a commit. With one: the answers carry it,
  /// and `capacity_bytes`, where that is more than is asked for.
  void Resolve(const std::string& commit, uint64_t capacity_bytes) EXCLUDES(mutex_);
  /// From now on every call about claims and capacity ends so; OK ends it.
  void RefuseClaims(grpc::Status status) EXCLUDES(mutex_);
  /// From now on calls about claims and capacity wait until their callers go, or `Open`.
  void HoldClaims() EXCLUDES(mutex_);
  /// How long the caller of the last CreateVolume wanted to wait for it, as it arrived.
  std::chrono::milliseconds create_patience() const EXCLUDES(mutex_);
  void SetCapacity(cache::v1::CapacityResponse capacity) EXCLUDES(mutex_);
  std::vector<cache::v1::CreateVolumeRequest> creates() const EXCLUDES(mutex_);
  std::vector<std::string> deletes() const EXCLUDES(mutex_);
  std::vector<cache::v1::CapacityRequest> capacities() const EXCLUDES(mutex_);
  void WaitForCreates(size_t count) EXCLUDES(mutex_);

  /// Waits until so many have arrived; ends the test program after a minute.
  void WaitForAcquires(size_t count) EXCLUDES(mutex_);
  void WaitForReleases(size_t count) EXCLUDES(mutex_);
  /// Waits until so many calls that waited were given up by their callers.
  void WaitForCancelled(size_t count) EXCLUDES(mutex_);

  /// A tree at once.
  static Script Answer(const std::string& tree);
  static Script Refuse(grpc::StatusCode code, const std::string& message);
  /// Tells of 25 % done, then waits until the caller goes or `Open`.
  Script FillUntilOpened(const std::string& tree);
  void Open() EXCLUDES(mutex_);

 private:
  grpc::Status Acquire(grpc::ServerContext* context, const cache::v1::AcquireRequest* request,
                       Writer* writer) override;
  grpc::Status Release(grpc::ServerContext* context, const cache::v1::ReleaseRequest* request,
                       cache::v1::ReleaseResponse* response) override;
  grpc::Status SyncLeases(grpc::ServerContext* context, const cache::v1::SyncLeasesRequest* request,
                          cache::v1::SyncLeasesResponse* response) override;
  grpc::Status Info(grpc::ServerContext* context, const cache::v1::InfoRequest* request,
                    cache::v1::InfoResponse* response) override;
  grpc::Status CreateVolume(grpc::ServerContext* context,
                            const cache::v1::CreateVolumeRequest* request,
                            cache::v1::CreateVolumeResponse* response) override;
  grpc::Status DeleteVolume(grpc::ServerContext* context,
                            const cache::v1::DeleteVolumeRequest* request,
                            cache::v1::DeleteVolumeResponse* response) override;
  grpc::Status GetVolume(grpc::ServerContext* context, const cache::v1::GetVolumeRequest* request,
                         cache::v1::GetVolumeResponse* response) override;
  grpc::Status Capacity(grpc::ServerContext* context, const cache::v1::CapacityRequest* request,
                        cache::v1::CapacityResponse* response) override;
  /// Waits as HoldClaims says. False once the caller has gone.
  bool WaitUnlessFree(grpc::ServerContext& context) EXCLUDES(mutex_);
  /// False once the caller has gone.
  bool WaitUntilOpened(grpc::ServerContext& context) EXCLUDES(mutex_);
  void WaitFor(const std::function<size_t()>& size, size_t count) EXCLUDES(mutex_);

  const std::string socket_;
  cache::v1::InfoResponse true_info_;
  std::unique_ptr<grpc::Server> server_;

  mutable Mutex mutex_;
  ConditionVariable changed_;
  Script script_ GUARDED_BY(mutex_);
  cache::v1::InfoResponse info_ GUARDED_BY(mutex_);
  bool open_ GUARDED_BY(mutex_) = false;
  size_t cancelled_ GUARDED_BY(mutex_) = 0;
  size_t infos_ GUARDED_BY(mutex_) = 0;
  bool infos_held_ GUARDED_BY(mutex_) = false;
  std::vector<cache::v1::AcquireRequest> acquires_ GUARDED_BY(mutex_);
  std::vector<std::string> releases_ GUARDED_BY(mutex_);
  std::vector<cache::v1::SyncLeasesRequest> syncs_ GUARDED_BY(mutex_);
  cache::v1::Volume resolution_ GUARDED_BY(mutex_);
  grpc::Status claims_refusal_ GUARDED_BY(mutex_);
  bool claims_held_ GUARDED_BY(mutex_) = false;
  std::chrono::milliseconds create_patience_ GUARDED_BY(mutex_){0};
  cache::v1::CapacityResponse capacity_ GUARDED_BY(mutex_);
  std::map<std::string, cache::v1::Volume> volumes_ GUARDED_BY(mutex_);
  std::vector<cache::v1::CreateVolumeRequest> creates_ GUARDED_BY(mutex_);
  std::vector<std::string> deletes_ GUARDED_BY(mutex_);
  std::vector<cache::v1::CapacityRequest> capacities_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::csi
