#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cache-daemon/source/hub/hub_endpoint.h"
#include "cache-daemon/source/source.h"

namespace weighhouse::source {

/// Models of the Hugging Face Hub: from its endpoint, and from its mirrors, in order, while that is
/// away. The token is the credentials' HF_TOKEN or `token`; it goes to these endpoints only.
///
/// What a model is called, and whose rights count, is the endpoint's alone: a mirror is another way
/// to the same origin. So the endpoint's "no" is final and no mirror is asked after it, and a
/// mirror's is none: while the endpoint is away it stays kUnavailable. Thread-safe.
class HuggingFace final : public Source {
 public:
  /// `endpoints`: the endpoint, then its mirrors; at least one. Their paths are prefixes, without a
  /// slash at the end.
  HuggingFace(const std::vector<Url>& endpoints, const std::shared_ptr<HttpClient>& client);

  /// Offline nobody is asked: every call is kUnavailable, and says so. True if that is a change.
  bool SetOffline(bool offline) { return offline_.exchange(offline) != offline; }

  Result<Listing> Resolve(const ModelReference& reference, const Credentials& credentials,
                          std::stop_token stop) override;
  std::string OriginFor(const ModelReference& reference, const Credentials&) const override;
  /// By one question for the commit, where the repository isn't gated.
  Result<bool> MayRead(const ModelReference& reference, const Credentials& credentials,
                       std::stop_token stop) override;
  Result<FileLocation> Locate(const ModelReference& reference, const Listing& listing,
                              const ListedFile& file, const Credentials& credentials,
                              std::stop_token stop) override;

 private:
  using Time = std::chrono::steady_clock::time_point;
  template <class Answer>
  Result<Answer> Ask(const std::function<Result<Answer>(HubEndpoint&)>& ask);
  Result<HubAsker> MakeAsker(const ModelReference& reference, const Credentials& credentials) const;
  Result<> CheckOnline() const;
  /// The order to ask in: those that were away lately come last.
  std::vector<size_t> Order(Time now) EXCLUDES(mutex_);
  void NoteAway(size_t index, Time now) EXCLUDES(mutex_);

  std::vector<std::unique_ptr<HubEndpoint>> endpoints_;  // does not change once it is made
  std::atomic<bool> offline_ = false;
  Mutex mutex_;
  std::vector<Time> away_until_ GUARDED_BY(mutex_);
};

}  // namespace weighhouse::source
