#include "csi/publisher.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"

namespace weighhouse::csi {

Publisher::Publisher(Settings settings, VolumeDisk& disk, DaemonClient& daemon,
                     PublishedTable& published, std::function<void()> reconcile)
    : settings_(settings),
      published_(published),
      disk_(disk),
      daemon_(daemon),
      looks_(publish_workers_,
             [this](auto done) {
               publish_workers_.Post([this, done = std::move(done)] { done(disk_.Look()); });
             }),
      root_checks_(disk, daemon, publish_workers_),
      tools_{.disk = disk,
             .daemon = daemon,
             .published = published,
             .flights = flights_,
             .workers = publish_workers_,
             .looks = looks_,
             .root_checks = root_checks_,
             .reconcile = std::move(reconcile)} {}

std::shared_ptr<Interruptible> Publisher::Publish(PublishOrder order,
                                                  std::chrono::milliseconds remaining, Done done) {
  std::optional<VolumeLocks::Guard> guard = locks_.TryLock(order.volume_id, order.target.path);
  if (!guard) {
    done(Fail(Code::kAborted, fmt::format("another call for this volume or for {} is under way",
                                          order.target.path)));
    return nullptr;
  }
  std::chrono::milliseconds hold = HoldTime(remaining, settings_.margin, settings_.hold_limit);
  auto flight = std::make_shared<PublishFlight>(tools_, std::move(order), hold, std::move(done));
  flight->Start(std::move(*guard));
  return flight;
}

void Publisher::Refuse(std::string volume_id, TargetPath target, Error error, Done done) {
  std::optional<VolumeLocks::Guard> guard = locks_.TryLock(volume_id, target.path);
  // Whoever holds the lock answers for what is there.
  if (!guard) return done(std::unexpected(std::move(error)));
  PublishOrder order{.volume_id = std::move(volume_id), .target = std::move(target)};
  auto flight = std::make_shared<PublishFlight>(tools_, std::move(order),
                                                std::chrono::milliseconds(0), std::move(done));
  flight->Refuse(std::move(*guard), std::move(error));
}

void Publisher::Unpublish(TargetPath target, Done done) {
  flights_.BeginUnpublish(target.path);
  unpublish_workers_.Post(
      [this, target = std::move(target), done = std::move(done)] { RunUnpublish(target, done); });
}

void Publisher::RunUnpublish(const TargetPath& target, const Done& done) {
  auto end = [this, path = target.path, done](Result<> outcome) {
    flights_.EndUnpublish(path);
    done(std::move(outcome));
  };
  std::optional<VolumeLocks::Guard> guard = locks_.WaitForTarget(
      target.path, std::chrono::steady_clock::now() + settings_.unpublish_patience);
  if (!guard) {
    return end(Fail(Code::kAborted, fmt::format("another call for {} is under way", target.path)));
  }
  Result<> cleared = disk_.Clear(target);
  if (!cleared) {
    LogRepeated(LogLevel::kWarning,
                fmt::format("unpublish of {}: {}", target.path, cleared.error().message));
    return end(std::move(cleared));
  }
  published_.Erase(target.path);
  // The guard stays until the lease is released: a publish that came before would lose its own
  // lease. It goes before the answer, whoever still has a copy of the callback: kubelet's next call
  // must find the volume free.
  auto held = std::make_shared<std::optional<VolumeLocks::Guard>>(std::move(*guard));
  auto released = [end, held,
                   path = target.path](const Result<cache::v1::ReleaseResponse>& response) mutable {
    if (response) {
      LogEvent(LogLevel::kInfo, "unpublished " + path, {{"target", path}});
    } else {
      LogRepeated(LogLevel::kInfo,
                  fmt::format("unpublished {}; its lease stays until the daemon answers: {}", path,
                              response.error().message),
                  {{"target", path}});
    }
    held->reset();
    end({});
  };
  daemon_.Release(target.LeaseId(), kReleasePatience, released)->Start();
}

}  // namespace weighhouse::csi
