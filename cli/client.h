#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <stop_token>

#include "cli/exit_code.h"
#include "cli/options.h"
#include "proto/cache.pb.h"

namespace weighhouse::cli {

namespace pb = ::weighhouse::cache::v1;

/// cache.proto for the commands: to a daemon, or to an engine inside this process. Errors are those
/// of the calls. Acquire may be called from several threads at once, the others may not.
class Client {
 public:
  /// With `options.root` opens that cache (and may change the process's user: see OpenLocalCache),
  /// else finds the daemon: kNoDaemon says why nobody answers.
  static std::expected<std::unique_ptr<Client>, Failure> Connect(const Options& options);
  virtual ~Client() = default;

  /// Calls `on_update` for each message up to and with `ready`, which is returned. A request of
  /// `stop` ends it with kCancelled.
  virtual Result<pb::Ready> Acquire(const pb::AcquireRequest& request,
                                    const std::function<void(const pb::AcquireUpdate&)>& on_update,
                                    std::stop_token stop) = 0;
  /// Calls `on_update` for each message; the sums, the last one, are returned too. A request of
  /// `stop` ends it with kCancelled.
  virtual Result<pb::VerifySums> Verify(
      const pb::VerifyRequest& request,
      const std::function<void(const pb::VerifyUpdate&)>& on_update, std::stop_token stop) = 0;
  virtual Result<pb::StatResponse> Stat(const pb::StatRequest& request) = 0;
  virtual Result<pb::EvictResponse> Evict(const pb::EvictRequest& request) = 0;
  virtual Result<pb::ListResponse> List() = 0;
  /// With what of the disk is whose.
  virtual Result<pb::ListResponse> ListWithUsage() = 0;
  virtual Result<pb::CapacityResponse> Capacity() = 0;
  virtual Result<pb::InfoResponse> Info() = 0;
  /// From now on List, Capacity and Info are waited for no longer than that (a minute, before).
  virtual void SetPatience(std::chrono::seconds patience) = 0;
};

}  // namespace weighhouse::cli
