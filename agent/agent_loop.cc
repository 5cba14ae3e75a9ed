#include "agent/agent_loop.h"

#include <algorithm>
#include <chrono>

#include "base/digest.h"

namespace weighhouse::agent {
namespace {

/// The loop goes round as often at least, so that its heart beats.
constexpr std::chrono::seconds kLongestWait{5};

/// 0.75 to 1.25, of the node's name: after an outage the cluster's nodes come back one by one.
double SpreadOf(const std::string& node) {
  auto byte = static_cast<unsigned char>(Digest::Of(node).Octets().front());
  return 0.75 + static_cast<double>(byte) / 255 * 0.5;
}

std::optional<LabelKeeper> MakeLabels(const Options& options, DaemonWatch& watch, ApiServer& api,
                                      const Clock& clock) {
  if (!options.node_labels) return std::nullopt;
  return std::optional<LabelKeeper>(
      std::in_place,
      LabelOptions{.node = options.node_name,
                   .most = *options.node_labels,
                   .interval = options.label_interval},
      api, [&watch](const std::stop_token& stop) { return watch.List(stop); }, clock.Steady());
}

}  // namespace

AgentLoop::AgentLoop(const Options& options, DaemonWatch& watch, ApiServer& api, const Clock& clock)
    : watch_(watch),
      clock_(clock),
      book_({.progress = options.update_interval}, SpreadOf(options.node_name), clock.Steady()),
      sender_(api, options.node_name),
      labels_(MakeLabels(options, watch, api, clock)),
      heartbeat_(options.heartbeat) {}

void AgentLoop::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto now = clock_.Steady();
    heartbeat_.Beat(now);
    auto until = std::min(now + kLongestWait, book_.NextAt(now));
    if (labels_) until = std::min(until, labels_->NextAt());
    Take(watch_.Wait(until, stop));
    SendWhatIsDue(stop);
    if (labels_) labels_->Refresh(clock_.Steady(), stop);
  }
}

void AgentLoop::Take(const std::optional<pb::PublishesUpdate>& update) {
  if (update) book_.Take(*update, clock_.Steady(), clock_.Now());
}

void AgentLoop::SendWhatIsDue(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto due = book_.Next(clock_.Steady(), clock_.Now());
    if (!due) return;
    book_.Settle(sender_.Send(*due, stop), clock_.Steady());
    heartbeat_.Beat(clock_.Steady());
    Take(watch_.Poll());  // the next one says what is so by now
  }
}

}  // namespace weighhouse::agent
