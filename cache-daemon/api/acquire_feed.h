#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/server_context.h>

#include "base/log_context.h"
#include "cache-daemon/api/update_stream.h"
#include "cache-daemon/engine/engine.h"
#include "proto/cache.pb.h"

namespace weighhouse::api {

using AcquireStream = UpdateStream<cache::v1::AcquireUpdate>;

/// What all lines of a call are about: the id in its metadata `x-request-id`, which is public
/// (cache.proto), or a new one, and `fields`.
LogContext ContextOf(const grpc::CallbackServerContext& context, LogFields fields = {});

/// Those of an Acquire's words that say whose it is. Checked ones: they are short.
LogFields FieldsOf(const AcquireRequest& request);

/// Brings what the engine says of one Acquire to its stream, and how it ended to the log, in the
/// context that it was made in. The stream owns it, so the engine's weak reference dies with the
/// call, and the fill doesn't. Thread-safe.
class AcquireFeed final : public AcquireObserver {
 public:
  AcquireFeed(std::weak_ptr<AcquireStream> stream, std::string model);

  void OnResolving() override;
  void OnFilling(const std::string& snapshot_id, const std::string& revision,
                 const fill::FillProgress& progress) override;
  void OnDone(const Result<AcquiredTree>& outcome) override;

 private:
  void Send(cache::v1::AcquireUpdate update);
  std::chrono::milliseconds Took() const;
  void SayReady(const AcquiredTree& tree) const;

  const std::weak_ptr<AcquireStream> stream_;
  const std::string model_;
  const LogContext log_ = LogContext::Current();
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace weighhouse::api
