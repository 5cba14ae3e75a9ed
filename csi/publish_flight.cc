#include "csi/publish_flight.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "csi/model_message.h"

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A replay waits no longer than this: the volume is mounted, whatever the daemon says.
constexpr milliseconds kReplayPatience{10'000};

std::optional<Error> InterruptionError(Interruption reason) {
  switch (reason) {
    case Interruption::kNone:
      return std::nullopt;
    case Interruption::kUnpublished:
      return Error{.code = Code::kAborted, .message = "the volume is being unpublished"};
    case Interruption::kAbandoned:
      return Error{.code = Code::kCancelled, .message = "the caller went away"};
    case Interruption::kStopping:
      return Error{.code = Code::kUnavailable,
                   .message = "the plugin is restarting; the fill goes on meanwhile"};
  }
  return std::nullopt;
}

/// What the lines of a publish are about, beside its request and volume.
LogFields FieldsOf(const PublishOrder& order) {
  LogFields fields = {{"target", order.target.path}};
  // Words that were refused have neither.
  std::string model = order.context.model.ToString();
  if (!model.empty()) fields.emplace_back("model", model);
  const VolumeContext& context = order.context;
  if (!context.pod_name.empty()) {
    fields.emplace_back("pod", fmt::format("{}/{}", context.pod_namespace, context.pod_name));
  }
  return fields;
}

}  // namespace

std::string PublishOrder::Fingerprint() const {
  return fmt::format("{}|{}|{}|{}|{}|{}", Digest::Of(volume_id).Hex(), context.model.Fingerprint(),
                     LayoutName(context.layout), readonly, access_mode, context.scratch_size);
}

VolumeAccess PublishOrder::Access() const {
  return {.readonly = readonly, .scratch_size = context.scratch_size};
}

PublishFlight::PublishFlight(PublishTools& tools, PublishOrder order, milliseconds hold, Done done)
    : tools_(tools),
      order_(std::move(order)),
      log_(LogContext::Current().With(FieldsOf(order_))),
      started_(steady_clock::now()),
      hold_until_(started_ + hold),
      done_(std::move(done)) {}

void PublishFlight::Start(VolumeLocks::Guard guard) {
  LogScope scope(log_);
  guard_.emplace(std::move(guard));
  switch (tools_.flights.Add(order_.target.path, order_.target.LeaseId(), weak_from_this())) {
    case Flights::Admission::kUnpublishing:
      return End(std::unexpected(*InterruptionError(Interruption::kUnpublished)));
    case Flights::Admission::kStopping:
      return End(std::unexpected(*InterruptionError(Interruption::kStopping)));
    case Flights::Admission::kAdmitted:
      break;
  }
  registered_ = true;
  Look();
}

void PublishFlight::Refuse(VolumeLocks::Guard guard, Error error) {
  LogScope scope(log_);
  guard_.emplace(std::move(guard));
  End(std::unexpected(std::move(error)));
}

void PublishFlight::Interrupt(Interruption reason) {
  std::shared_ptr<DaemonCall> call;
  {
    MutexLock lock(mutex_);
    if (interruption_ == Interruption::kNone) interruption_ = reason;
    call = call_;
  }
  if (call) call->Cancel();
}

std::optional<Error> PublishFlight::Interrupted() const {
  MutexLock lock(mutex_);
  return InterruptionError(interruption_);
}

void PublishFlight::Post(std::function<void()> step) { tools_.workers.Post(std::move(step)); }

milliseconds PublishFlight::TimeLeft() const {
  auto left = std::chrono::duration_cast<milliseconds>(hold_until_ - steady_clock::now());
  return std::max(left, milliseconds(1));
}

void PublishFlight::Look() {
  tools_.looks.Ask([self = shared_from_this()](const Result<MountLook>& look) {
    LogScope scope(self->log_);
    self->Prepare(look);
  });
}

void PublishFlight::Prepare(const Result<MountLook>& look) {
  if (std::optional<Error> error = Interrupted()) return End(std::unexpected(*error));
  Result<VolumeDisk::Inspection> inspection = tools_.disk.Inspect(order_.target, look);
  if (!inspection) return End(std::unexpected(std::move(inspection).error()));
  switch (inspection->found.kind) {
    case VolumeMounts::Kind::kVolume:
      mounted_ = true;
      return Replay(inspection->found);
    case VolumeMounts::Kind::kForeign:
      return End(Fail(Code::kFailedPrecondition,
                      fmt::format("something that isn't a volume of this cache is mounted at {}: "
                                  "unmount it",
                                  order_.target.path)));
    case VolumeMounts::Kind::kDead: {
      LogRepeated(LogLevel::kWarning,
                  fmt::format("{}: the tree mounted there is gone from the disk; mounting it anew",
                              order_.target.path));
      Result<> cleared = tools_.disk.Clear(order_.target);
      if (!cleared) return End(std::move(cleared));
      return Look();  // what lies below it decides now
    }
    case VolumeMounts::Kind::kNone:
      break;
  }
  if (!inspection->propagation) return End(std::move(inspection->propagation));
  Result<> alone = CheckSingleWriter(*look);
  if (!alone) return End(std::move(alone));
  Result<> possible = tools_.disk.CheckAccess(order_.Access());
  if (!possible) return End(std::move(possible));
  cache_ = inspection->cache;
  AskDaemon();
}

Result<> PublishFlight::CheckSingleWriter(const MountLook& look) const {
  for (const auto& other : tools_.published.OthersOf(order_.volume_id, order_.target.path)) {
    if (!order_.single_writer && !other.single_writer) continue;
    bool mounted = TRY(tools_.disk.HoldsVolume(other.target, look));
    if (!mounted) continue;
    return Fail(Code::kFailedPrecondition,
                fmt::format("the volume is published at {} already, and SINGLE_NODE_SINGLE_WRITER "
                            "(ReadWriteOncePod) allows one place only",
                            other.target));
  }
  return {};
}

void PublishFlight::Replay(const VolumeMounts::Found& found) {
  std::optional<Publication> known = tools_.published.Find(order_.target.path);
  bool remembered = known && !known->fingerprint.empty();
  if (remembered && known->fingerprint == order_.Fingerprint()) return End({});
  if (remembered || found.scratch != order_.Access().Scratch()) {
    return End(
        Fail(Code::kAlreadyExists,
             fmt::format("{} is published already, with other arguments", order_.target.path)));
  }
  // This process has not seen the publish. The mount told whether a pod may write, which the lease
  // doesn't know; whether the other arguments are the same, it tells.
  Acquire(std::min(TimeLeft(), kReplayPatience), /*mounted=*/true,
          [self = shared_from_this(), tree = found.tree](const Result<cache::v1::Ready>& ready) {
            self->OnReplayed(tree, ready);
          });
}

void PublishFlight::OnReplayed(const std::string& tree, const Result<cache::v1::Ready>& ready) {
  if (!ready && ready.error().code == Code::kAlreadyExists) {
    return End(std::unexpected(ready.error()));
  }
  bool same = ready && ready->tree() == tree;
  Record(tree, same ? &*ready : nullptr);
  if (same || Interrupted()) return End({});
  // The pod reads a complete tree, so the answer is yes. Whatever lease the daemon has may be what
  // keeps that tree: it is left alone, and the reconciler tells what is mounted.
  LogRepeated(
      LogLevel::kInfo,
      fmt::format("{}: mounted; the daemon could not confirm its lease of {}: {}",
                  order_.target.path, tree,
                  ready ? "it has " + Printable(ready->tree(), 120) : ready.error().message));
  tools_.reconcile();
  End({});
}

void PublishFlight::AskDaemon() {
  auto check = [self = shared_from_this()](const Result<>& same) {
    LogScope scope(self->log_);
    if (std::optional<Error> error = self->Interrupted()) return self->End(std::unexpected(*error));
    if (!same) return self->End(same);
    self->Acquire(self->TimeLeft(), /*mounted=*/false,
                  [self](Result<cache::v1::Ready> ready) { self->OnAcquired(std::move(ready)); });
  };
  StartCall(tools_.root_checks.Check(TimeLeft(), check));
}

cache::v1::AcquireRequest PublishFlight::MakeRequest() const {
  cache::v1::AcquireRequest request;
  const VolumeContext& context = order_.context;
  request.set_lease_id(order_.target.LeaseId());
  cache::v1::Holder& holder = *request.mutable_holder();
  holder.set_volume_id(order_.volume_id);
  holder.set_target_path(order_.target.path);
  holder.set_pod_namespace(context.pod_namespace);
  holder.set_pod_name(context.pod_name);
  holder.set_pod_uid(order_.target.pod_uid.empty() ? context.pod_uid : order_.target.pod_uid);
  *request.mutable_model() = ToMessage(context.model);
  request.set_layout(context.layout == Layout::kHub ? cache::v1::LAYOUT_HUB
                                                    : cache::v1::LAYOUT_FILES);
  for (const auto& [key, value] : order_.credentials.values) {
    (*request.mutable_credentials())[key] = value;
  }
  return request;
}

void PublishFlight::Acquire(milliseconds timeout, bool mounted,
                            DaemonClient::Done<cache::v1::Ready> done) {
  auto on_progress = [self = shared_from_this()](const Progress& progress) {
    MutexLock lock(self->mutex_);
    self->progress_ = progress;
  };
  cache::v1::AcquireRequest request = MakeRequest();
  request.set_mounted(mounted);
  StartCall(tools_.daemon.Acquire(std::move(request), timeout, on_progress, std::move(done)));
}

void PublishFlight::StartCall(std::shared_ptr<DaemonCall> call) {
  std::optional<Error> interrupted;
  {
    MutexLock lock(mutex_);
    interrupted = InterruptionError(interruption_);
    if (!interrupted) call_ = call;
  }
  if (interrupted) return End(std::unexpected(*interrupted));
  call->Start();
}

Error PublishFlight::WaitedTooLong() const {
  MutexLock lock(mutex_);
  return {.code = Code::kAborted,
          .message = DescribeProgress(order_.context.model.ToString(), progress_)};
}

void PublishFlight::OnAcquired(Result<cache::v1::Ready> ready) {
  if (std::optional<Error> error = Interrupted()) return End(std::unexpected(*error));
  if (ready) {
    return Post([self = shared_from_this(), ready = std::move(*ready)] { self->Mount(ready); });
  }
  bool waited_too_long = ready.error().code == Code::kDeadlineExceeded;
  End(std::unexpected(waited_too_long ? WaitedTooLong() : std::move(ready).error()));
}

void PublishFlight::Mount(const cache::v1::Ready& ready) {
  if (std::optional<Error> error = Interrupted()) return End(std::unexpected(*error));
  Result<> mounted = tools_.disk.Mount(order_.target, ready.tree(), order_.Access(), cache_);
  if (!mounted) return End(std::move(mounted));
  mounted_ = true;
  Record(ready.tree(), &ready);
  auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - started_);
  std::string served_from = Printable(ready.served_from(), 20);
  LogEvent(LogLevel::kInfo,
           fmt::format("published {} ({}) at {}: {} in {} files, {} fetched, from the {}, in {}",
                       order_.context.model.ToString(), ready.revision(), order_.target.path,
                       FormatBytes(ready.bytes()), ready.files(),
                       FormatBytes(ready.bytes_fetched()), served_from, FormatDuration(took)),
           {{"revision", ready.revision()},
            {"bytes", ready.bytes()},
            {"bytes_fetched", ready.bytes_fetched()},
            {"files", ready.files()},
            {"served_from", served_from},
            {"ms", took.count()}});
  End({});
}

void PublishFlight::Record(const std::string& tree, const cache::v1::Ready* ready) {
  Publication publication{.volume_id = order_.volume_id,
                          .fingerprint = order_.Fingerprint(),
                          .pod_namespace = order_.context.pod_namespace,
                          .pod_name = order_.context.pod_name,
                          .single_writer = order_.single_writer,
                          .tree = tree,
                          .sizes = std::nullopt};
  if (ready != nullptr) {
    publication.sizes = VolumeSizes{.bytes = ready->bytes(), .files = ready->files()};
  }
  tools_.published.Put(order_.target.path, std::move(publication));
}

void PublishFlight::End(Result<> outcome) {
  if (outcome) return Complete({});
  bool final_at_kubelet = !IsTemporary(outcome.error().code);
  auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - started_);
  LogRepeated(
      final_at_kubelet ? LogLevel::kWarning : LogLevel::kInfo,
      fmt::format("publish of {} at {} ended with {}: {}", order_.context.model.ToString(),
                  order_.target.path, CodeName(outcome.error().code), outcome.error().message),
      {{"code", CodeName(outcome.error().code)}, {"ms", took.count()}});
  if (!final_at_kubelet || mounted_) return Complete(std::move(outcome));
  Post([self = shared_from_this(), error = std::move(outcome).error()] { self->Undo(error); });
}

bool PublishFlight::MayBeMounted() const {
  Result<VolumeDisk::Inspection> inspection =
      tools_.disk.Inspect(order_.target, tools_.disk.Look());
  if (inspection) return inspection->found.kind == VolumeMounts::Kind::kVolume;
  // No parent, or a symlink on the way: nothing of ours can be there. Else we can't tell.
  return inspection.error().code != Code::kFailedPrecondition &&
         inspection.error().code != Code::kInvalidArgument;
}

void PublishFlight::Undo(Error error) {
  if (MayBeMounted()) return Complete(std::unexpected(std::move(error)));
  tools_.disk.RemoveUnlessMounted(order_.target);
  auto released = [self = shared_from_this(),
                   error = std::move(error)](const Result<cache::v1::ReleaseResponse>& response) {
    if (!response) {
      LogRepeated(LogLevel::kInfo,
                  fmt::format("lease of {} not released ({}); the next comparison settles it",
                              self->order_.target.path, response.error().message));
    }
    self->Complete(std::unexpected(error));
  };
  tools_.daemon.Release(order_.target.LeaseId(), kReleasePatience, released)->Start();
}

void PublishFlight::Complete(Result<> outcome) {
  {
    MutexLock lock(mutex_);
    call_.reset();
  }
  // The lock last: the next publish of this target must not find its own entry removed.
  if (registered_) tools_.flights.Remove(order_.target.path);
  guard_.reset();
  done_(std::move(outcome));
}

}  // namespace weighhouse::csi
