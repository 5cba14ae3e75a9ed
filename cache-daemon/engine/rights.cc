#include "cache-daemon/engine/rights.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/source/file_filter.h"

namespace weighhouse {
namespace {

constexpr std::chrono::hours kSweepEvery{1};

/// Whether each file has rights of its own (Source::ShowRights), so that what a source said of some
/// files tells nothing of others.
bool IsEachFilesOwn(const ModelReference& model) {
  std::string_view scheme = model.Scheme();
  return scheme == "s3" || scheme == "gs" || scheme == "https" || scheme == "http";
}

/// Which files are meant, where that matters for rights; empty: those that are meant by default.
std::string ChoiceOf(const ModelReference& model) {
  std::string text;
  if (!IsEachFilesOwn(model)) return text;
  for (const auto& [name, patterns] :
       {std::pair("allow", &model.allow_patterns), std::pair("ignore", &model.ignore_patterns)}) {
    if (!*patterns) continue;
    text += fmt::format(" {} {}", name, (*patterns)->size());
    for (const std::string& each : **patterns) text += fmt::format(" {} {}", each.size(), each);
  }
  return text;
}

/// All that a source can go by: the secret, and the query of a URL, which may be a signature. With
/// their lengths: no two sets give the same text. Empty: nobody's.
std::string CredentialOf(const ModelReference& model, const Credentials& credentials) {
  std::string text;
  size_t query = model.uri.find('?');
  if (query != std::string::npos) {
    std::string_view asked = std::string_view(model.uri).substr(query);
    text += fmt::format("{} {}", asked.size(), asked);
  }
  return text + credentials.Text();
}

/// Servers and curl take `/a/../b` for `/b`: such a name says nothing of what it means.
bool IsPlain(const std::string& uri) {
  std::string path = ToLower(uri) + "/";
  bool dots = path.contains("/../") || path.contains("/./") || path.contains("%2e");
  bool slashes = path.contains("%2f") || path.contains("%5c") || path.contains('\\');
  return !dots && !slashes;
}

bool IsAllowlisted(const RightsOptions& options, const ModelReference& model) {
  if (options.policy != RightsOptions::Policy::kNeverVerifyAllowlisted) return false;
  std::string name = model.uri.substr(0, model.uri.find('?'));
  return IsPlain(name) &&
         std::ranges::any_of(options.never_verify, [&](const std::string& pattern) {
           return source::MatchesPattern(pattern, name);
         });
}

}  // namespace

Rights::Rights(store::Store& store, const Clock& clock, RightsOptions options)
    : store_(store), clock_(clock), options_(std::move(options)), swept_(clock.Steady()) {
  store_.DropGrantsBefore(clock_.Steady() - Options().grant_ttl);
}

void Rights::SetOptions(RightsOptions options) {
  MutexLock lock(mutex_);
  options_ = std::move(options);
}

RightsOptions Rights::Options() const {
  MutexLock lock(mutex_);
  return options_;
}

bool Rights::MayHaveUnasked(const store::Snapshot& snapshot, const ModelReference& model,
                            const Caller& caller) const {
  if (snapshot.anonymous) return true;
  RightsOptions options = Options();
  return IsAllowlisted(options, model) ||
         HasGrant(snapshot.origin, model, caller,
                  std::min(options.recheck_after, options.grant_ttl));
}

bool Rights::MayHaveAfter(Code failure, const store::Snapshot& snapshot,
                          const ModelReference& model, const Caller& caller) const {
  RightsOptions options = Options();
  if (IsRefusal(failure)) return IsAllowlisted(options, model);
  if (failure != Code::kUnavailable) return false;
  return snapshot.anonymous || IsAllowlisted(options, model) ||
         HasGrant(snapshot.origin, model, caller, options.grant_ttl);
}

void Rights::Allowed(const std::string& origin, const ModelReference& model, const Caller& caller,
                     std::chrono::steady_clock::time_point asked) {
  std::string credential = CredentialOf(model, caller.credentials);
  // Nobody's are everybody's: what they may have is public, and its snapshot says so.
  if (credential.empty()) return;
  std::string choice = ChoiceOf(model);
  Result<> recorded = store_.RecordGrant({.origin = origin,
                                          .credential = credential,
                                          .choice = choice,
                                          .pod_namespace = caller.pod_namespace,
                                          .asked = asked});
  // Its source is asked again then.
  if (!recorded)
    LogRepeated(LogLevel::kWarning,
                fmt::format("a grant is not recorded: {}", recorded.error().message));
  std::chrono::seconds ttl{0};
  {
    MutexLock lock(mutex_);
    if (clock_.Steady() < swept_ + kSweepEvery) return;
    swept_ = clock_.Steady();
    ttl = options_.grant_ttl;
  }
  store_.DropGrantsBefore(clock_.Steady() - ttl);
}

void Rights::Refused(const std::string& origin, const ModelReference& model, const Caller& caller) {
  std::string credential = CredentialOf(model, caller.credentials);
  if (origin.empty() || credential.empty()) return;
  Result<> dropped = store_.DropGrant(origin, credential);
  if (dropped) return;
  LogRepeated(LogLevel::kError,
              fmt::format("a grant that its source took back may be here again after a restart: {}",
                          dropped.error().message));
}

bool Rights::IsRefusal(Code code) {
  return code == Code::kUnauthenticated || code == Code::kPermissionDenied ||
         code == Code::kNotFound;
}

bool Rights::HasGrant(const std::string& origin, const ModelReference& model, const Caller& caller,
                      std::chrono::seconds at_most) const {
  std::string credential = CredentialOf(model, caller.credentials);
  if (credential.empty()) return false;
  auto asked = store_.GrantAsked(origin, credential, ChoiceOf(model));
  return asked && clock_.Steady() - *asked < at_most;
}

}  // namespace weighhouse
