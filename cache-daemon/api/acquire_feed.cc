#include "cache-daemon/api/acquire_feed.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/units.h"
#include "cache-daemon/api/translate.h"

namespace weighhouse::api {

LogContext ContextOf(const grpc::CallbackServerContext& context, LogFields fields) {
  auto given = context.client_metadata().find("x-request-id");
  bool has = given != context.client_metadata().end();
  std::string_view id;
  if (has) id = {given->second.data(), given->second.size()};
  return ContextOfRequest(id, std::move(fields));
}

LogFields FieldsOf(const AcquireRequest& request) {
  LogFields fields = {{"model", request.model.ToString()}};
  const Holder& holder = request.holder;
  if (!holder.volume_id.empty()) fields.emplace_back("volume", holder.volume_id);
  if (!holder.pod_name.empty()) {
    fields.emplace_back("pod", fmt::format("{}/{}", holder.pod_namespace, holder.pod_name));
  }
  return fields;
}

AcquireFeed::AcquireFeed(std::weak_ptr<AcquireStream> stream, std::string model)
    : stream_(std::move(stream)), model_(std::move(model)) {}

void AcquireFeed::OnResolving() { Send(ResolvingUpdate()); }

void AcquireFeed::OnFilling(const std::string& snapshot_id, const std::string& revision,
                            const fill::FillProgress& progress) {
  Send(FillingUpdate(snapshot_id, revision, progress));
}

void AcquireFeed::OnDone(const Result<AcquiredTree>& outcome) {
  std::shared_ptr<AcquireStream> stream = stream_.lock();
  if (!stream) return;
  LogScope scope(log_);
  if (outcome) {
    SayReady(*outcome);
    stream->SendNewest(ReadyUpdate(*outcome));
    return stream->End(grpc::Status::OK);
  }
  LogRepeated(LogLevel::kWarning,
              fmt::format("acquire {}: {}: {}", model_, CodeName(outcome.error().code),
                          outcome.error().message),
              {{"code", CodeName(outcome.error().code)}, {"ms", Took().count()}});
  stream->End(ToStatus(outcome.error()));
}

void AcquireFeed::Send(cache::v1::AcquireUpdate update) {
  if (std::shared_ptr<AcquireStream> stream = stream_.lock()) stream->SendNewest(std::move(update));
}

std::chrono::milliseconds AcquireFeed::Took() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begun_);
}

/// kubelet replays its publishes, some each minute: that is no news.
void AcquireFeed::SayReady(const AcquiredTree& tree) const {
  bool replay = tree.served_from == AcquiredTree::ServedFrom::kLease;
  LogEvent(replay ? LogLevel::kDebug : LogLevel::kInfo,
           fmt::format("acquire {}: ready: {} in {} files, {} fetched, in {}", model_,
                       FormatBytes(tree.bytes), tree.files, FormatBytes(tree.bytes_fetched),
                       FormatDuration(Took())),
           {{"snapshot", tree.snapshot_id},
            {"revision", tree.revision},
            {"bytes", tree.bytes},
            {"bytes_fetched", tree.bytes_fetched},
            {"files", tree.files},
            {"ms", Took().count()}});
}

}  // namespace weighhouse::api
