#include "cache-daemon/api/cache_service.h"

#include <chrono>
#include <functional>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/server_callback.h>

#include "cache-daemon/api/acquire_feed.h"
#include "cache-daemon/api/translate.h"
#include "cache-daemon/api/update_stream.h"
#include "proto/cache.grpc.pb.h"

namespace weighhouse::api {
namespace {

using VerifyStream = UpdateStream<pb::VerifyUpdate>;

/// Trailing metadata of every answer: what comes without it was said by gRPC of a daemon that is
/// away. Public: cache.proto tells of it.
constexpr const char* kAnswered = "weighhouse-answered";

/// What CreateVolume waits for the source; its disk takes as long as it takes.
constexpr std::chrono::milliseconds kSourcePatience{1500};

/// As gRPC calls the code.
std::string_view StatusName(const grpc::Status& status) {
  return status.ok() ? "OK" : CodeName(static_cast<Code>(status.error_code()));
}

/// Who may make a call, beside admins.
enum class Audience { kEverybody, kPlugin, kWatchers, kAdmins };

bool Serves(Access access, Audience audience) {
  switch (access) {
    case Access::kNode:
      return audience == Audience::kEverybody || audience == Audience::kPlugin;
    case Access::kWatch:
      return audience == Audience::kEverybody || audience == Audience::kWatchers;
    case Access::kAdmin:
      return true;
    case Access::kNone:
      return false;
  }
  return false;
}

class CacheService final : public pb::Cache::CallbackService {
 public:
  CacheService(Engine& engine, Workers& workers, PublishWatch& watch, CacheServiceOptions options)
      : engine_(engine), workers_(workers), watch_(watch), options_(std::move(options)) {}

  grpc::ServerWriteReactor<pb::AcquireUpdate>* Acquire(grpc::CallbackServerContext* context,
                                                       const pb::AcquireRequest* request) override {
    context->AddTrailingMetadata(kAnswered, "1");
    auto stream = std::make_shared<AcquireStream>(Counted("Acquire"));
    grpc::Status admitted = Admit("Acquire", Audience::kPlugin);
    Result<AcquireRequest> checked = ToAcquireRequest(*request);
    if (!admitted.ok() || !checked) {
      stream->Begin(options_.draining);
      stream->End(admitted.ok() ? ToStatus(checked.error()) : admitted);
      return stream.get();
    }
    LogScope scope(ContextOf(*context, FieldsOf(*checked)));
    auto feed = std::make_shared<AcquireFeed>(stream, checked->model.ToString());
    stream->Begin(options_.draining, feed);
    engine_.Acquire(std::move(*checked), feed);
    return stream.get();
  }

  grpc::ServerUnaryReactor* Release(grpc::CallbackServerContext* context,
                                    const pb::ReleaseRequest* request,
                                    pb::ReleaseResponse*) override {
    return Run(context, workers_.brief, "Release", Audience::kPlugin,
               [this, request]() -> Result<> {
                 TRY(CheckLeaseId(request->lease_id()));
                 return engine_.Release(request->lease_id());
               });
  }

  grpc::ServerUnaryReactor* SyncLeases(grpc::CallbackServerContext* context,
                                       const pb::SyncLeasesRequest* request,
                                       pb::SyncLeasesResponse* response) override {
    auto sync = [this, request, response]() -> Result<> {
      SyncRequest checked = TRY(ToSyncRequest(*request));
      SyncOutcome outcome = TRY(engine_.SyncLeases(checked));
      response->set_dropped(static_cast<uint32_t>(outcome.dropped));
      response->set_recreated(static_cast<uint32_t>(outcome.recreated));
      return {};
    };
    return Run(context, workers_.brief, "SyncLeases", Audience::kPlugin, sync);
  }

  grpc::ServerUnaryReactor* CreateVolume(grpc::CallbackServerContext* context,
                                         const pb::CreateVolumeRequest* request,
                                         pb::CreateVolumeResponse* response) override {
    // From here, not from when a thread comes to it: callers count so too.
    auto deadline = std::chrono::steady_clock::now() + kSourcePatience;
    auto create = [this, request, response, deadline]() -> Result<> {
      VolumeRequest checked = TRY(ToVolumeRequest(*request, deadline));
      store::VolumeRecord volume = TRY(engine_.CreateVolume(checked));
      *response->mutable_volume() = FromVolume(volume);
      return {};
    };
    return Run(context, workers_.volume, "CreateVolume", Audience::kPlugin, create);
  }

  grpc::ServerUnaryReactor* DeleteVolume(grpc::CallbackServerContext* context,
                                         const pb::DeleteVolumeRequest* request,
                                         pb::DeleteVolumeResponse*) override {
    return Run(context, workers_.brief, "DeleteVolume", Audience::kPlugin,
               [this, request]() -> Result<> {
                 TRY(CheckVolumeId(request->volume_id()));
                 return engine_.DeleteVolume(request->volume_id());
               });
  }

  grpc::ServerUnaryReactor* GetVolume(grpc::CallbackServerContext* context,
                                      const pb::GetVolumeRequest* request,
                                      pb::GetVolumeResponse* response) override {
    auto get = [this, request, response]() -> Result<> {
      TRY(CheckVolumeId(request->volume_id()));
      store::VolumeRecord volume = TRY(engine_.GetVolume(request->volume_id()));
      *response->mutable_volume() = FromVolume(volume);
      return {};
    };
    return Run(context, workers_.brief, "GetVolume", Audience::kPlugin, get);
  }

  grpc::ServerUnaryReactor* Prefetch(grpc::CallbackServerContext* context,
                                     const pb::PrefetchRequest* request,
                                     pb::PrefetchResponse* response) override {
    auto prefetch = [this, request, response]() -> Result<> {
      ModelReference model = TRY(ToModelReference(request->model()));
      Credentials credentials = TRY(ToCredentials(request->credentials()));
      std::string snapshot_id = TRY(engine_.Prefetch(model, credentials));
      response->set_snapshot_id(snapshot_id);
      return {};
    };
    return Run(context, workers_.source, "Prefetch", Audience::kAdmins, prefetch);
  }

  grpc::ServerUnaryReactor* Evict(grpc::CallbackServerContext* context,
                                  const pb::EvictRequest* request,
                                  pb::EvictResponse* response) override {
    auto evict = [this, request, response]() -> Result<> {
      int named = (request->snapshot_id().empty() ? 0 : 1) + (request->model().empty() ? 0 : 1) +
                  (request->quarantine() ? 1 : 0);
      if (named != 1) {
        return Fail(Code::kInvalidArgument,
                    "give a snapshot_id, a model or quarantine, one of them");
      }
      if (request->quarantine()) {
        Bytes freed = TRY(engine_.EvictQuarantine());
        response->set_bytes_freed(freed);
        return {};
      }
      if (!request->snapshot_id().empty())
        TRY(CheckSnapshotId(request->snapshot_id(), "snapshot_id"));
      Engine::EvictOutcome outcome = TRY(engine_.Evict(request->snapshot_id(), request->model()));
      response->set_snapshots(static_cast<uint32_t>(outcome.snapshots));
      response->set_bytes_freed(outcome.bytes);
      return {};
    };
    return Run(context, workers_.source, "Evict", Audience::kAdmins, evict);
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const pb::ListRequest* request,
                                 pb::ListResponse* response) override {
    auto list = [this, request, response]() -> Result<> {
      for (const SnapshotView& view : engine_.List()) {
        *response->add_snapshots() = FromSnapshotView(view);
      }
      if (request->usage()) SetUsage(engine_.Usage(), *response);
      return {};
    };
    return Run(context, workers_.brief, "List", Audience::kWatchers, list);
  }

  grpc::ServerUnaryReactor* Stat(grpc::CallbackServerContext* context,
                                 const pb::StatRequest* request,
                                 pb::StatResponse* response) override {
    auto stat = [this, request, response]() -> Result<> {
      ModelReference model = TRY(ToModelReference(request->model()));
      Credentials credentials = TRY(ToCredentials(request->credentials()));
      StatView view = TRY(engine_.Stat(model, credentials));
      *response = FromStatView(view);
      return {};
    };
    return Run(context, workers_.source, "Stat", Audience::kAdmins, stat);
  }

  grpc::ServerWriteReactor<pb::VerifyUpdate>* Verify(grpc::CallbackServerContext* context,
                                                     const pb::VerifyRequest* request) override {
    context->AddTrailingMetadata(kAnswered, "1");
    auto stream = std::make_shared<VerifyStream>(Counted("Verify"));
    stream->Begin(options_.draining);
    grpc::Status admitted = Admit("Verify", Audience::kAdmins);
    Result<> checked;
    if (!request->snapshot_id().empty())
      checked = CheckSnapshotId(request->snapshot_id(), "snapshot_id");
    if (!admitted.ok() || !checked) {
      stream->End(admitted.ok() ? ToStatus(checked.error()) : admitted);
      return stream.get();
    }
    // `request` dies with the call, which a caller's leaving can end before the worker comes to it.
    VerifyRequest verify{.snapshot_id = request->snapshot_id()};
    if (request->has_bytes_per_second()) verify.bytes_per_second = request->bytes_per_second();
    LogScope scope(ContextOf(*context));
    workers_.verify.Post(
        [this, stream, verify = std::move(verify)] { RunVerify(*stream, verify); });
    return stream.get();
  }

  grpc::ServerUnaryReactor* Capacity(grpc::CallbackServerContext* context,
                                     const pb::CapacityRequest* request,
                                     pb::CapacityResponse* response) override {
    auto capacity = [this, request, response]() -> Result<> {
      store::SpaceSums sums = TRY(engine_.Capacity());
      *response = FromSpaceSums(sums);
      if (!request->has_model()) return {};
      ModelReference model = TRY(ToModelReference(request->model()));
      ModelFit fit =
          TRY(engine_.FitOf({.model = model.AtCommit(), .cached_only = request->cached_only()}));
      *response->mutable_model() = FromModelFit(fit);
      return {};
    };
    return Run(context, workers_.brief, "Capacity", Audience::kPlugin, capacity);
  }

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* context, const pb::InfoRequest*,
                                 pb::InfoResponse* response) override {
    return Run(
        context, workers_.brief, "Info", Audience::kEverybody, [this, response]() -> Result<> {
          EngineInfo info = TRY(engine_.Info());
          *response = FromEngineInfo(info, WEIGHHOUSE_VERSION);
          if (options_.configuration) {
            *response->mutable_configuration() = FromConfigurationStatus(options_.configuration());
          }
          if (!options_.recent_errors) return {};
          for (const RecentError& error : options_.recent_errors()) {
            *response->add_recent_errors() = FromRecentError(error);
          }
          return {};
        });
  }

  grpc::ServerWriteReactor<pb::PublishesUpdate>* WatchPublishes(
      grpc::CallbackServerContext* context, const pb::WatchPublishesRequest*) override {
    context->AddTrailingMetadata(kAnswered, "1");
    auto stream = std::make_shared<PublishWatch::Stream>(Counted("WatchPublishes"));
    stream->Begin(options_.draining);
    grpc::Status admitted = Admit("WatchPublishes", Audience::kWatchers);
    Result<> added;
    if (admitted.ok()) added = watch_.Add(stream);
    if (!admitted.ok() || !added) stream->End(admitted.ok() ? ToStatus(added.error()) : admitted);
    return stream.get();
  }

 private:
  /// OK, or why this socket does not serve the call now.
  grpc::Status Admit(std::string_view method, Audience audience) const {
    if (options_.access == Access::kNone) {
      return {grpc::StatusCode::PERMISSION_DENIED, options_.refusal};
    }
    if (!Serves(options_.access, audience)) {
      return {grpc::StatusCode::PERMISSION_DENIED,
              fmt::format("{} is not served on the {} socket: use the admin socket", method,
                          options_.access == Access::kNode ? "node" : "watch")};
    }
    if (options_.draining.stop_requested()) {
      return {grpc::StatusCode::UNAVAILABLE, "the cache daemon is stopping: try again"};
    }
    return grpc::Status::OK;
  }

  /// Counts the end of a call. `method` is a constant of the code.
  void Count(std::string_view method, const grpc::Status& status) const {
    options_.metrics.OnAnswered(method, StatusName(status));
  }
  std::function<void(const grpc::Status&)> Counted(std::string_view method) const {
    return [this, method](const grpc::Status& status) { Count(method, status); };
  }

  /// Runs `work` on `pool` and ends the call with its outcome. Request and response live until
  /// then.
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context, WorkerPool& pool,
                                std::string_view method, Audience audience,
                                std::function<Result<>()> work) const {
    context->AddTrailingMetadata(kAnswered, "1");
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    grpc::Status admitted = Admit(method, audience);
    if (!admitted.ok()) {
      Count(method, admitted);
      reactor->Finish(admitted);
      return reactor;
    }
    LogScope scope(ContextOf(*context));
    pool.Post([this, reactor, method, work = std::move(work)] {
      Result<> outcome = work();
      grpc::Status status = outcome ? grpc::Status::OK : ToStatus(outcome.error());
      Count(method, status);
      reactor->Finish(status);
    });
    return reactor;
  }

  void RunVerify(VerifyStream& stream, const VerifyRequest& request) {
    if (stream.Left().stop_requested()) return;
    VerifyObserver observer{.on_finding =
                                [&stream](const VerifyFinding& finding) {
                                  return stream.SendInOrder(FindingUpdate(finding));
                                },
                            .on_progress =
                                [&stream](const VerifyProgress& progress) {
                                  return stream.SendInOrder(ProgressUpdate(progress));
                                }};
    Result<VerifySums> sums = engine_.Verify(request, observer, stream.Left());
    if (!sums) return stream.End(ToStatus(sums.error()));
    stream.SendInOrder(SumsUpdate(*sums));
    stream.End(grpc::Status::OK);
  }

  Engine& engine_;
  Workers& workers_;
  PublishWatch& watch_;
  const CacheServiceOptions options_;
};

}  // namespace

std::unique_ptr<grpc::Service> CreateCacheService(Engine& engine, Workers& workers,
                                                  PublishWatch& watch,
                                                  CacheServiceOptions options) {
  return std::make_unique<CacheService>(engine, workers, watch, std::move(options));
}

}  // namespace weighhouse::api
