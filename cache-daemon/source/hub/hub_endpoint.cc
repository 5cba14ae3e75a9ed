#include "cache-daemon/source/hub/hub_endpoint.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/file_rights.h"
#include "cache-daemon/source/signed_url.h"
#include "cache-daemon/source/transfer_check.h"

namespace weighhouse::source {
namespace {

using std::chrono::system_clock;

/// 1000 entries a page at the Hub; smaller pages at mirrors.
constexpr int kMaxPages = 2000;
constexpr Bytes kListingLimit = 64 * kMiB;

/// Whether the Hub's headers of one file agree with its listing.
Result<> CheckLinkedHeaders(const HttpResponse& response, const ListedFile& file) {
  std::string_view size = response.headers.Find("x-linked-size");
  std::string_view etag = UnquoteEtag(response.headers.Find("x-linked-etag"));
  bool other_size = !size.empty() && ParseNumber(size) != file.size;
  bool comparable = etag.size() == file.identity.value.size() && IsHex(etag, etag.size());
  if (!other_size && (!comparable || etag == file.identity.value)) return {};
  return Fail(
      Code::kOutOfRange,
      fmt::format("{}: the Hub's listing and file disagree: listed {} bytes {}, found {} bytes {}",
                  Printable(file.path), file.size, file.identity.value, Printable(size, 30),
                  Printable(etag, 70)));
}

void LogWarning(const HttpResponse& response, const std::string& repository) {
  std::string_view warning = response.headers.Find("x-hf-warning");
  if (warning.empty()) return;
  LogRepeated(LogLevel::kWarning,
              fmt::format("the Hub warns about hf://{}: {}", repository, Printable(warning)));
}

}  // namespace

HubEndpoint::HubEndpoint(std::vector<Url> listed, size_t index, std::shared_ptr<HttpClient> client)
    : listed_(std::move(listed)),
      index_(index),
      text_(url().path == "/" ? url().Origin() : url().ToPublicString()),
      client_(std::move(client)) {}

Result<Listing> HubEndpoint::List(HubAsker asker, std::stop_token stop) {
  HubRevision revision = TRY(AskRevision(asker, stop));
  Listing listing{.revision = revision.commit};
  listing.files = TRY(ListTree(revision.commit, asker, stop));
  std::ranges::sort(listing.files);
  TRY(CheckListing(listing));
  if (revision.may_be_gated) {
    // The largest are weights, which are gated for sure; a README may not be.
    auto largest = std::ranges::max_element(listing.files, {}, &ListedFile::size);
    TRY(ShowRight(revision.commit, *largest, std::move(asker), std::move(stop)));
  }
  return listing;
}

Result<bool> HubEndpoint::MayRead(HubAsker asker, std::stop_token stop) {
  HubRevision revision = TRY(AskRevision(asker, std::move(stop)));
  return !revision.may_be_gated;
}

Result<HubRevision> HubEndpoint::AskRevision(HubAsker& asker, std::stop_token stop) {
  asker.question.web_page = fmt::format("{}/{}", text_, asker.question.repository);
  Url url = TRY(UrlOf(fmt::format("/api/models/{}/revision/{}", asker.question.repository,
                                  PercentEncode(asker.question.revision))));
  RedirectedResponse answer = TRY(AskApi(url, asker, std::move(stop)));
  HubRevision revision = TRY(ParseHubRevision(answer.response.body));
  if (IsCommitId(asker.question.revision) && revision.commit != asker.question.revision) {
    return Fail(Code::kInvalidArgument, fmt::format("asked for commit {}, the Hub answers with {}",
                                                    asker.question.revision, revision.commit));
  }
  return revision;
}

bool HubEndpoint::IsListed(const Url& target) const {
  return std::ranges::any_of(listed_, [&](const Url& each) { return each.SameOrigin(target); });
}

Result<Url> HubEndpoint::UrlOf(const std::string& path_and_query) const {
  return Url::Parse(text_ + path_and_query);
}

Result<RedirectedResponse> HubEndpoint::Send(RedirectedRequest request, const std::string& kind,
                                             const HubAsker& asker, std::stop_token stop) {
  // A page's URL comes from the Hub's answer: see NextPage.
  if (IsListed(request.url)) request.credentials = asker.credentials;
  std::string account = asker.credentials.empty() ? "" : asker.credentials.front();
  RequestBudget::Ticket ticket = TRY(budget_.Admit(kind, account, stop));
  request.inspect = [&, inspect = std::move(request.inspect)](const HttpResponse& response) {
    ticket.Answered(response.headers);
    LogWarning(response, asker.question.repository);
    return inspect ? inspect(response) : Result<>();
  };
  return SendRedirected(*client_, request, std::move(stop));
}

Result<RedirectedResponse> HubEndpoint::AskApi(const Url& url, const HubAsker& asker,
                                               std::stop_token stop) {
  RedirectedRequest request{.url = url, .body_limit = kListingLimit};
  RedirectedResponse answer = TRY(Send(std::move(request), "api", asker, std::move(stop)));
  if (answer.response.status() != 200) return std::unexpected(Failure(answer, asker));
  return answer;
}

Result<std::vector<ListedFile>> HubEndpoint::ListTree(const std::string& commit,
                                                      const HubAsker& asker, std::stop_token stop) {
  std::vector<ListedFile> files;
  std::optional<Url> url = TRY(UrlOf(fmt::format(
      "/api/models/{}/tree/{}?recursive=true&expand=false", asker.question.repository, commit)));
  for (int page = 0; url && page < kMaxPages; ++page) {
    RedirectedResponse answer = TRY(AskApi(*url, asker, stop));
    TRY(AppendHubTreePage(answer.response.body, files));
    url = TRY(NextPage(answer));
  }
  if (!url) return files;
  return Fail(Code::kInvalidArgument, fmt::format("the Hub's listing of hf://{} has over {} pages",
                                                  asker.question.repository, kMaxPages));
}

Result<std::optional<Url>> HubEndpoint::NextPage(const RedirectedResponse& page) const {
  std::optional<std::string> link = NextLink(page.response.headers.Find("link"));
  if (!link) return std::nullopt;
  Url next = TRY(page.url.Join(*link));
  // Mirrors pass on the Hub's own links.
  constexpr std::string_view kHub = "https://huggingface.co";
  if (next.Origin() == kHub && !url().SameOrigin(next)) {
    next = TRY(UrlOf(next.ToString().substr(kHub.size())));
  }
  if (next.SameOrigin(url()) || next.SameOrigin(page.url)) return next;
  return Fail(Code::kInvalidArgument,
              fmt::format("the Hub at {} sends to {} for the next page of its listing: refused",
                          url().HostAndPort(), next.HostAndPort()));
}

Result<RedirectedResponse> HubEndpoint::AskFile(const Url& url, const ListedFile& file,
                                                const HubAsker& asker, std::stop_token stop) {
  RedirectedRequest request{.method = HttpMethod::kHead,
                            .url = url,
                            .other_origin = RedirectedRequest::OtherOrigin::kStop};
  request.inspect = [&](const HttpResponse& response) {
    return CheckLinkedHeaders(response, file);
  };
  RedirectedResponse answer = TRY(Send(request, "resolvers", asker, stop));
  if (answer.response.status() != 405 && answer.response.status() != 501) return answer;
  request.method = HttpMethod::kGet;
  request.headers = {"Range: bytes=0-0"};
  request.body_limit = 0;
  return Send(std::move(request), "resolvers", asker, std::move(stop));
}

Result<> HubEndpoint::ShowRight(const std::string& commit, const ListedFile& file, HubAsker asker,
                                std::stop_token stop) {
  RedirectedResponse found = TRY(Find(commit, file, asker, stop));
  // The Hub's own word for the file, which was compared.
  if (file.size == 0 || found.response.headers.Has("x-linked-size")) return {};
  // Without it, as mirrors answer, both a success and a redirect may lead to a page to log in.
  std::optional<Bytes> size;
  if (!found.left_origin) size = WholeSize(found.response.headers);
  if (!size) {
    RedirectedRequest request{.url = found.url, .headers = {"Range: bytes=0-0"}, .body_limit = 0};
    found = TRY(Send(std::move(request), "resolvers", asker, std::move(stop)));
    if (!HasContent(found.response.status())) return std::unexpected(Failure(found, asker));
    size = WholeSize(found.response.headers);
  }
  return CheckShown(file, size, fmt::format("hf://{}: {}", asker.question.repository, file.path));
}

Result<FileLocation> HubEndpoint::Locate(const std::string& commit, const ListedFile& file,
                                         const HubAsker& asker, std::stop_token stop) {
  RedirectedResponse answer = TRY(Find(commit, file, asker, std::move(stop)));
  if (answer.left_origin) {
    return FileLocation{.url = answer.url.ToString(), .expires_at = SignedUrlDeadline(answer.url)};
  }
  FileLocation location{.url = answer.url.ToString()};
  if (IsListed(answer.url)) {
    location.headers = asker.credentials;
    location.authorised = !asker.credentials.empty();
  }
  return location;
}

Result<RedirectedResponse> HubEndpoint::Find(const std::string& commit, const ListedFile& file,
                                             HubAsker asker, std::stop_token stop) {
  asker.question.web_page = fmt::format("{}/{}", text_, asker.question.repository);
  asker.question.path = file.path;
  asker.question.revision = commit;
  std::string resolve_path = fmt::format("/resolve/{}/", commit);
  Url url = TRY(UrlOf(fmt::format("/{}{}{}", asker.question.repository, resolve_path,
                                  PercentEncode(file.path, "/"))));
  RedirectedResponse answer = TRY(AskFile(url, file, asker, stop));
  // A mirror that sends on to another Hub: that one's answer counts, with the token only where it
  // is a listed one too.
  if (answer.left_origin && answer.url.path.contains(resolve_path)) {
    answer = TRY(AskFile(answer.url, file, asker, std::move(stop)));
  }
  bool found = answer.left_origin || HasContent(answer.response.status());
  if (!found) return std::unexpected(Failure(answer, asker));
  return answer;
}

Error HubEndpoint::Failure(const RedirectedResponse& answer, const HubAsker& asker) const {
  std::string said = HubErrorText(answer.response.body);
  if (said.empty()) said = answer.response.headers.Find("x-error-message");
  said = WithoutSecrets(std::move(said), answer.url.ToString(), asker.credentials);
  return HubFailure(answer.response, asker.question, said, system_clock::now());
}

}  // namespace weighhouse::source
