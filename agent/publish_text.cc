#include "agent/publish_text.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/byte_share.h"
#include "base/text.h"

namespace weighhouse::agent {
namespace {

constexpr size_t kShownModelBytes = 300;
constexpr size_t kShownWaitBytes = 300;
/// Printable adds an ellipsis to what it cuts.
constexpr size_t kCutMessageBytes = kMaxMessageBytes - std::string_view("…").size();

std::string ShownModel(const pb::Publish& publish) {
  return publish.model().empty() ? "model" : Printable(publish.model(), kShownModelBytes);
}

std::string FillingText(const pb::Filling& filling) {
  std::string text = "filling";
  Bytes total = filling.bytes_total(), done = std::min<Bytes>(filling.bytes_done(), total);
  if (total > 0) {
    text += fmt::format(" {} % ({}", PerCent(done, total), FormatShare(done, total));
    if (Bytes rate = filling.bytes_per_second(); rate > 0) {
      text += fmt::format(", {}, {} left", FormatRate(static_cast<double>(rate)),
                          FormatTimeLeft((total - done) / rate));
    }
    text += ')';
  }
  if (!filling.waiting_for().empty()) {
    text += fmt::format("; {}", Printable(filling.waiting_for(), kShownWaitBytes));
  }
  return text;
}

/// "3 ms", "28.4 s": what a pod waited, to a tenth of a second below a minute.
std::string WaitedText(std::chrono::milliseconds waited) {
  using namespace std::chrono_literals;
  bool tenths = waited >= 10s && waited < 60s;  // FormatDuration drops them there
  if (!tenths) return FormatDuration(waited);
  return fmt::format("{}.{} s", waited / 1s, waited % 1s / 100ms);
}

std::string ReadyText(const pb::PublishReady& ready) {
  constexpr uint64_t kMost = 1'000'000'000'000;
  std::chrono::milliseconds waited(std::min<uint64_t>(ready.milliseconds(), kMost));
  return fmt::format("ready in {} ({})", WaitedText(waited), ready.cold() ? "cold" : "warm");
}

/// The daemon's own words mostly begin with the model.
std::string RefusedText(const std::string& model, const pb::PublishRefused& refused) {
  std::string message = Printable(refused.message(), kMaxMessageBytes);
  if (message.empty()) message = fmt::format("gRPC status {}, see the cache's log", refused.code());
  if (message.contains(model)) return "refused: " + message;
  return fmt::format("{}: refused: {}", model, message);
}

EventText Of(const char* reason, const std::string& message, bool warning = false) {
  return {.reason = reason, .warning = warning, .message = Printable(message, kCutMessageBytes)};
}

}  // namespace

bool IsEnd(Stage stage) { return stage == Stage::kReady || stage == Stage::kRefused; }

std::optional<Stage> StageOf(const pb::Publish& publish) {
  switch (publish.state_case()) {
    case pb::Publish::kResolving:
      return Stage::kResolving;
    case pb::Publish::kFilling:
      return Stage::kFilling;
    case pb::Publish::kReady:
      return Stage::kReady;
    case pb::Publish::kRefused:
      return Stage::kRefused;
    case pb::Publish::STATE_NOT_SET:
      break;
  }
  return std::nullopt;
}

std::optional<EventText> TextOf(const pb::Publish& publish) {
  std::optional<Stage> stage = StageOf(publish);
  if (!stage) return std::nullopt;
  std::string model = ShownModel(publish);
  switch (*stage) {
    case Stage::kResolving:
      return Of("ModelResolving", model + ": resolving, its source is being asked what it holds");
    case Stage::kFilling:
      return Of("ModelFilling", fmt::format("{}: {}", model, FillingText(publish.filling())));
    case Stage::kReady:
      return Of("ModelReady", fmt::format("{}: {}", model, ReadyText(publish.ready())));
    case Stage::kRefused:
      return Of("ModelRefused", RefusedText(model, publish.refused()), true);
  }
  return std::nullopt;
}

}  // namespace weighhouse::agent
