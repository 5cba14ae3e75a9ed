#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "agent/api_server.h"
#include "agent/publish_text.h"

namespace weighhouse::agent {

struct LabelOptions {
  std::string node;                            ///< the name of the Node object
  size_t most = 0;                             ///< labels; 0: those of before are taken off
  std::chrono::milliseconds interval{60'000};  ///< between two looks at the cache
  std::chrono::milliseconds recheck{600'000};  ///< what others did to the node is mended so late
};

/// Keeps the labels of this node's Node object as its cache is. While the daemon is away the labels
/// stay: it is started again, and has its models still. Used by one thread.
class LabelKeeper {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using ListModels = std::function<Result<pb::ListResponse>(std::stop_token)>;

  /// `api` outlives it.
  LabelKeeper(LabelOptions options, ApiServer& api, ListModels list, Time now);

  /// Looks, if it is time, and changes what must be changed by one patch. Failures are logged here.
  void Refresh(Time now, const std::stop_token& stop);
  /// When it is time again; Time::max() once all labels are taken off.
  Time NextAt() const { return next_at_; }

 private:
  /// The node has the labels that are `wanted` now, or an error says why not.
  Result<> Apply(const std::set<std::string>& wanted, const std::stop_token& stop);
  /// The body of an answer that is 200.
  Result<std::string> Ask(const ApiRequest& request, const std::stop_token& stop);
  void LogFailure(const Error& error);

  const LabelOptions options_;
  ApiServer& api_;
  const ListModels list_;
  std::optional<std::set<std::string>> applied_;  ///< what the node has, as far as known
  Time next_at_, recheck_at_;
  std::string last_failure_;  ///< logged once, not every minute
};

}  // namespace weighhouse::agent
