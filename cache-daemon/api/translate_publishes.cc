#include <chrono>
#include <string_view>
#include <utility>
#include <variant>

#include "base/text.h"
#include "cache-daemon/api/translate.h"

namespace weighhouse::api {
namespace {

/// What Kubernetes leaves of an event's message (1 KiB), without the ellipsis that a cut adds.
constexpr size_t kMostText = 1024 - std::string_view("…").size();
/// Of one update: gRPC's clients take 4 MiB, and a thousand publishes may have paths of 4 KiB each.
constexpr size_t kMostBytes = 3 << 20;

void SetState(const PublishView::Resolving&, pb::Publish& out) { out.mutable_resolving(); }

void SetState(const PublishView::Filling& filling, pb::Publish& out) {
  pb::AcquireUpdate update = FillingUpdate(filling.snapshot_id, filling.revision, filling.progress);
  *out.mutable_filling() = std::move(*update.mutable_filling());
}

void SetState(const PublishView::Ready& ready, pb::Publish& out) {
  out.mutable_ready()->set_milliseconds(static_cast<uint64_t>(ready.took.count()));
  out.mutable_ready()->set_cold(ready.cold);
  out.mutable_ready()->set_bytes(ready.bytes);
}

void SetState(const PublishView::Refused& refused, pb::Publish& out) {
  out.mutable_refused()->set_code(static_cast<uint32_t>(refused.error.code));
  out.mutable_refused()->set_message(Printable(refused.error.message, kMostText));
}

}  // namespace

pb::PublishesUpdate FromPublishes(const std::vector<PublishView>& publishes) {
  pb::PublishesUpdate out;
  size_t bytes = 0;
  for (const PublishView& publish : publishes) {
    pb::Publish& added = *out.add_publishes();
    added.set_lease_id(publish.lease_id);
    *added.mutable_holder() = FromHolder(publish.holder);
    added.set_model(Printable(publish.model, kMostText));
    auto since = publish.since.time_since_epoch();
    added.set_since_unix_ms(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
    std::visit([&added](const auto& state) { SetState(state, added); }, publish.state);
    bytes += added.ByteSizeLong();
    if (bytes <= kMostBytes) continue;
    out.mutable_publishes()->RemoveLast();
    break;
  }
  return out;
}

}  // namespace weighhouse::api
