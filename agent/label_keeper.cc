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

void LabelKeeper::Refresh(Time now, std::stop_token stop) {
  if (now < next_at_) return;
  next_at_ = now + options_.interval;
  std::set<std::string> wanted;
  if (options_.most > 0) {
    Result<pb::ListResponse> list = list_();
    if (!list) {
      spdlog::debug("node labels wait for the daemon: {}", list.error().message);
      return;
    }
    wanted = WantedLabels(*list, options_.most);
  }
  if (applied_ == wanted && now < recheck_at_) return;
  if (!Apply(wanted, std::move(stop))) {
    applied_.reset();
    return;
  }
  last_failure_.clear();
  applied_ = std::move(wanted);
  recheck_at_ = now + options_.recheck;
  if (options_.most == 0) next_at_ = Time::max();
}

bool LabelKeeper::Apply(const std::set<std::string>& wanted, std::stop_token stop) {
  std::string path = "/api/v1/nodes/" + PercentEncode(options_.node);
  Result<ApiAnswer> node = api_.Send({.method = HttpMethod::kGet, .path = path}, stop);
  if (!node) return Fail(node.error().message);
  if (node->status != 200) return Fail(StatusMessage(*node));
  Result<std::string> patch = LabelPatch(wanted, node->body);
  if (!patch) return Fail(patch.error().message);
  if (patch->empty()) return true;
  Result<ApiAnswer> patched = api_.Send(
      {.method = HttpMethod::kPatch, .path = std::move(path), .body = *patch}, std::move(stop));
  if (!patched) return Fail(patched.error().message);
  if (patched->status != 200) return Fail(StatusMessage(*patched));
  spdlog::info("node {}: {} labels of cached models", options_.node, wanted.size());
  return true;
}

bool LabelKeeper::Fail(const std::string& what) {
  std::string text = fmt::format(
      "the labels of node {} can't be kept: {} (they need get and patch on nodes: "
      "deploy/components/node-labels)",
      options_.node, what);
  if (text != last_failure_) spdlog::warn("{}", text);
  last_failure_ = std::move(text);
  return false;
}

}  // namespace weighhouse::agent
