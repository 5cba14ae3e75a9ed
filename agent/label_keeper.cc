#include "agent/label_keeper.h"

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/node_labels.h"
#include "base/text.h"

namespace weighhouse::agent {

using source::HttpMethod;

LabelKeeper::LabelKeeper(LabelOptions options, ApiServer& api, ListModels list, Time now)
    : options_(std::move(options)),
      api_(api),
      list_(std::move(list)),
      next_at_(now),
      recheck_at_(now) {}

void LabelKeeper::Refresh(Time now, const std::stop_token& stop) {
  if (now < next_at_) return;
  next_at_ = now + options_.interval;
  std::set<std::string> wanted;
  if (options_.most > 0) {
    Result<pb::ListResponse> list = list_(stop);
    if (!list) {
      spdlog::debug("node labels wait for the daemon: {}", list.error().message);
      return;
    }
    wanted = WantedLabels(*list, options_.most);
  }
  if (applied_ == wanted && now < recheck_at_) return;
  if (Result<> done = Apply(wanted, stop); !done) {
    applied_.reset();
    return LogFailure(done.error());
  }
  last_failure_.clear();
  applied_ = std::move(wanted);
  recheck_at_ = now + options_.recheck;
  if (options_.most == 0) next_at_ = Time::max();
}

Result<> LabelKeeper::Apply(const std::set<std::string>& wanted, const std::stop_token& stop) {
  std::string path = "/api/v1/nodes/" + PercentEncode(options_.node);
  std::string node = TRY(Ask({.method = HttpMethod::kGet, .path = path}, stop));
  std::string patch = TRY(LabelPatch(wanted, node));
  if (patch.empty()) return {};
  TRY(Ask({.method = HttpMethod::kPatch, .path = path, .body = patch}, stop));
  spdlog::info("node {}: {} labels of cached models", options_.node, wanted.size());
  return {};
}

Result<std::string> LabelKeeper::Ask(const ApiRequest& request, const std::stop_token& stop) {
  ApiAnswer answer = TRY(api_.Send(request, stop));
  if (answer.status != 200) return Fail(Code::kUnavailable, StatusMessage(answer));
  return std::move(answer.body);
}

void LabelKeeper::LogFailure(const Error& error) {
  if (error.code == Code::kCancelled) return;  // the agent ends
  std::string text = fmt::format(
      "the labels of node {} can't be kept: {} (they need get and patch on nodes: "
      "deploy/components/node-labels)",
      options_.node, error.message);
  if (text != last_failure_) spdlog::warn("{}", text);
  last_failure_ = std::move(text);
}

}  // namespace weighhouse::agent
