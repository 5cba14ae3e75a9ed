#include "cache-daemon/source/hugging_face.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"

namespace weighhouse::source {
namespace {

/// How long an endpoint that didn't answer is asked after the others: a connection that comes to
/// nothing takes ten seconds.
constexpr std::chrono::seconds kAwayFor{30};
constexpr std::string_view kHubScheme = "hf://";

/// The token as a header. It becomes part of a request's text: nothing but visible ASCII may be in
/// it.
Result<std::vector<std::string>> TokenHeader(const Credentials& credentials) {
  std::string token = credentials.First({"HF_TOKEN", "token"});
  if (token.empty()) return std::vector<std::string>{};
  bool clean = std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7F; });
  if (!clean) {
    return std::unexpected(
        Error{.code = Code::kUnauthenticated,
              .message = "the token in HF_TOKEN has characters that no token has: check the secret "
                         "for line breaks and quotes",
              .rights_may_help = true});
  }
  return std::vector<std::string>{"Authorization: Bearer " + token};
}

}  // namespace

HuggingFace::HuggingFace(const std::vector<Url>& endpoints,
                         const std::shared_ptr<HttpClient>& client) {
  for (size_t i = 0; i < endpoints.size(); ++i) {
    endpoints_.push_back(std::make_unique<HubEndpoint>(endpoints, i, client));
    away_until_.push_back(Time::min());
  }
}

Result<Listing> HuggingFace::Resolve(const ModelReference& reference,
                                     const Credentials& credentials, std::stop_token stop) {
  TRY(CheckOnline());
  HubAsker asker = TRY(MakeAsker(reference, credentials));
  Listing listing =
      TRY(Ask<Listing>([&](HubEndpoint& endpoint) { return endpoint.List(asker, stop); }));
  listing.repository = asker.question.repository;
  listing.origin = OriginFor(reference, credentials);
  listing.anonymous = asker.credentials.empty();
  return listing;
}

std::string HuggingFace::OriginFor(const ModelReference& reference, const Credentials&) const {
  return fmt::format("hf+{}/{}", endpoints_.front()->name(),
                     reference.uri.substr(kHubScheme.size()));
}

Result<bool> HuggingFace::MayRead(const ModelReference& reference, const Credentials& credentials,
                                  std::stop_token stop) {
  TRY(CheckOnline());
  HubAsker asker = TRY(MakeAsker(reference, credentials));
  // Without a token its answer is for everybody, which Resolve has recorded.
  if (asker.credentials.empty() || !reference.IsCommit(reference.revision)) return false;
  return Ask<bool>([&](HubEndpoint& endpoint) { return endpoint.MayRead(asker, stop); });
}

Result<FileLocation> HuggingFace::Locate(const ModelReference& reference, const Listing& listing,
                                         const ListedFile& file, const Credentials& credentials,
                                         std::stop_token stop) {
  TRY(CheckOnline());
  HubAsker asker = TRY(MakeAsker(reference, credentials));
  return Ask<FileLocation>(
      [&](HubEndpoint& endpoint) { return endpoint.Locate(listing.revision, file, asker, stop); });
}

Result<> HuggingFace::CheckOnline() const {
  if (!offline_) return {};
  return Fail(Code::kUnavailable,
              "the Hub is not asked, because sources.huggingface.offline is true: only what is "
              "cached here, and public or granted to these credentials, is served");
}

Result<HubAsker> HuggingFace::MakeAsker(const ModelReference& reference,
                                        const Credentials& credentials) const {
  if (!reference.uri.starts_with(kHubScheme)) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' is not a Hugging Face model: give "
                                                    "hf://org/name[@revision]",
                                                    Printable(reference.uri)));
  }
  HubAsker asker;
  asker.credentials = TRY(TokenHeader(credentials));
  asker.question.repository = reference.uri.substr(kHubScheme.size());
  asker.question.revision = reference.RevisionOrDefault();
  asker.question.with_token = !asker.credentials.empty();
  return asker;
}

template <class Answer>
Result<Answer> HuggingFace::Ask(const std::function<Result<Answer>(HubEndpoint&)>& ask) {
  std::optional<Error> away, of_mirrors;
  for (size_t index : Order(std::chrono::steady_clock::now())) {
    Result<Answer> answer = ask(*endpoints_[index]);
    if (answer || answer.error().code == Code::kCancelled) return answer;
    Error error = std::move(answer).error();
    bool is_away = error.code == Code::kUnavailable;
    if (index == 0 && !is_away) return std::unexpected(std::move(error));
    // Who says when to come back is there, and answers other accounts and questions.
    if (is_away && !error.retry_after) NoteAway(index, std::chrono::steady_clock::now());
    if (endpoints_.size() > 1) {
      LogRepeated(LogLevel::kWarning,
                  fmt::format("{}: {}", endpoints_[index]->name(), error.message));
      error = std::move(error).Within(endpoints_[index]->name());
    }
    (index == 0 ? away : of_mirrors) = std::move(error);
  }
  // The endpoint was asked, and is away: what a mirror refuses says nothing.
  if (of_mirrors) away->message += "; " + of_mirrors->message;
  return std::unexpected(*std::move(away));
}

std::vector<size_t> HuggingFace::Order(Time now) {
  std::vector<size_t> order, away;
  MutexLock lock(mutex_);
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    (away_until_[i] <= now ? order : away).push_back(i);
  }
  order.insert(order.end(), away.begin(), away.end());
  return order;
}

void HuggingFace::NoteAway(size_t index, Time now) {
  MutexLock lock(mutex_);
  away_until_[index] = now + kAwayFor;
}

}  // namespace weighhouse::source
