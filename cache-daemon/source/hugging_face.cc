#include "cache-daemon/source/hugging_face.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/text.h"
#include "cache-daemon/source/curl_handle.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/signed_url.h"

namespace weighhouse::source {
namespace {

using std::chrono::system_clock;

/// 1000 entries a page at the Hub; smaller pages at mirrors.
constexpr int kMaxPages = 2000;
constexpr Bytes kListingLimit = 64 * kMiB;
constexpr std::string_view kHubScheme = "hf://";

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
  spdlog::warn("the Hub warns about hf://{}: {}", repository, Printable(warning));
}

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

bool IsSuccess(int status) { return status == 200 || status == 206; }

}  // namespace

HuggingFace::HuggingFace(Url endpoint, std::shared_ptr<HttpClient> client)
    : endpoint_(std::move(endpoint)),
      endpoint_text_(endpoint_.path == "/" ? endpoint_.Origin() : endpoint_.ToPublicString()),
      client_(std::move(client)) {}

Result<Listing> HuggingFace::Resolve(const ModelReference& reference,
                                     const Credentials& credentials, std::stop_token stop) {
  Asker asker = TRY(MakeAsker(reference, credentials));
  const std::string& repository = asker.question.repository;
  HubRevision revision = TRY(AskRevision(reference, asker, stop));
  Listing listing{.origin = OriginFor(reference),
                  .revision = revision.commit,
                  .repository = repository,
                  .anonymous = asker.credentials.empty()};
  listing.files = TRY(ListTree(revision.commit, asker, stop));
  std::ranges::sort(listing.files);
  TRY(CheckListing(listing));
  if (revision.may_be_gated) {
    // The largest are weights, which are gated for sure; a README may not be.
    auto largest = std::ranges::max_element(listing.files, {}, &ListedFile::size);
    TRY(LocateFile(revision.commit, *largest, asker, stop));
  }
  return listing;
}

std::string HuggingFace::OriginFor(const ModelReference& reference) const {
  return fmt::format("hf+{}/{}", endpoint_text_, reference.uri.substr(kHubScheme.size()));
}

Result<bool> HuggingFace::MayRead(const ModelReference& reference, const Credentials& credentials,
                                  std::stop_token stop) {
  Asker asker = TRY(MakeAsker(reference, credentials));
  // Without a token its answer is for everybody, which Resolve has recorded.
  if (asker.credentials.empty() || !IsCommitId(reference.revision)) return false;
  HubRevision revision = TRY(AskRevision(reference, asker, std::move(stop)));
  // It shows a gated model's commits to all, and its weights to some.
  return !revision.may_be_gated;
}

Result<HubRevision> HuggingFace::AskRevision(const ModelReference& reference, const Asker& asker,
                                             std::stop_token stop) {
  Url url = TRY(HubUrl(fmt::format("/api/models/{}/revision/{}", asker.question.repository,
                                   PercentEncode(asker.question.revision))));
  RedirectedResponse answer = TRY(AskApi(url, asker, std::move(stop)));
  HubRevision revision = TRY(ParseHubRevision(answer.response.body));
  if (IsCommitId(reference.revision) && revision.commit != reference.revision) {
    return Fail(Code::kInvalidArgument, fmt::format("asked for commit {}, the Hub answers with {}",
                                                    reference.revision, revision.commit));
  }
  return revision;
}

Result<FileLocation> HuggingFace::Locate(const ModelReference& reference, const Listing& listing,
                                         const ListedFile& file, const Credentials& credentials,
                                         std::stop_token stop) {
  Asker asker = TRY(MakeAsker(reference, credentials));
  return LocateFile(listing.revision, file, std::move(asker), std::move(stop));
}

Result<HuggingFace::Asker> HuggingFace::MakeAsker(const ModelReference& reference,
                                                  const Credentials& credentials) const {
  if (!reference.uri.starts_with(kHubScheme)) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' is not a Hugging Face model: give "
                                                    "hf://org/name[@revision]",
                                                    Printable(reference.uri)));
  }
  Asker asker;
  asker.credentials = TRY(TokenHeader(credentials));
  asker.question.repository = reference.uri.substr(kHubScheme.size());
  asker.question.web_page = fmt::format("{}/{}", endpoint_text_, asker.question.repository);
  asker.question.revision = reference.RevisionOrDefault();
  asker.question.with_token = !asker.credentials.empty();
  return asker;
}

Result<Url> HuggingFace::HubUrl(const std::string& path_and_query) const {
  return Url::Parse(endpoint_text_ + path_and_query);
}

Result<RedirectedResponse> HuggingFace::AskApi(const Url& url, const Asker& asker,
                                               std::stop_token stop) {
  RedirectedRequest request{.url = url, .body_limit = kListingLimit};
  // A page's URL comes from the Hub's answer: see NextPage.
  if (url.SameOrigin(endpoint_)) request.credentials = asker.credentials;
  RedirectedResponse answer = TRY(SendRedirected(*client_, request, std::move(stop)));
  LogWarning(answer.response, asker.question.repository);
  if (answer.response.status() != 200) return std::unexpected(Failure(answer, asker));
  return answer;
}

Result<std::vector<ListedFile>> HuggingFace::ListTree(const std::string& commit, const Asker& asker,
                                                      std::stop_token stop) {
  std::vector<ListedFile> files;
  std::optional<Url> url = TRY(HubUrl(fmt::format(
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

Result<std::optional<Url>> HuggingFace::NextPage(const RedirectedResponse& page) const {
  std::optional<std::string> link = NextLink(page.response.headers.Find("link"));
  if (!link) return std::nullopt;
  Url next = TRY(page.url.Join(*link));
  // Mirrors pass on the Hub's own links.
  constexpr std::string_view kHub = "https://huggingface.co";
  if (next.Origin() == kHub && !endpoint_.SameOrigin(next)) {
    next = TRY(HubUrl(next.ToString().substr(kHub.size())));
  }
  if (next.SameOrigin(endpoint_) || next.SameOrigin(page.url)) return next;
  return Fail(Code::kInvalidArgument,
              fmt::format("the Hub at {} sends to {} for the next page of its listing: refused",
                          endpoint_.HostAndPort(), next.HostAndPort()));
}

Result<RedirectedResponse> HuggingFace::AskFile(const Url& url, const ListedFile& file,
                                                const Asker& asker, std::stop_token stop) {
  RedirectedRequest request{.method = HttpMethod::kHead,
                            .url = url,
                            .other_origin = RedirectedRequest::OtherOrigin::kStop};
  if (url.SameOrigin(endpoint_)) request.credentials = asker.credentials;
  request.inspect = [&](const HttpResponse& response) {
    LogWarning(response, asker.question.repository);
    return CheckLinkedHeaders(response, file);
  };
  RedirectedResponse answer = TRY(SendRedirected(*client_, request, stop));
  if (answer.response.status() != 405 && answer.response.status() != 501) return answer;
  request.method = HttpMethod::kGet;
  request.headers = {"Range: bytes=0-0"};
  request.body_limit = 0;
  return SendRedirected(*client_, request, std::move(stop));
}

Result<FileLocation> HuggingFace::LocateFile(const std::string& commit, const ListedFile& file,
                                             Asker asker, std::stop_token stop) {
  asker.question.path = file.path;
  asker.question.revision = commit;
  std::string resolve_path = fmt::format("/resolve/{}/", commit);
  Url url = TRY(HubUrl(fmt::format("/{}{}{}", asker.question.repository, resolve_path,
                                   PercentEncode(file.path, "/"))));
  RedirectedResponse answer = TRY(AskFile(url, file, asker, stop));
  // A mirror that sends on to another Hub: that one's answer counts, asked without the token.
  if (answer.left_origin && answer.url.path.contains(resolve_path)) {
    answer = TRY(AskFile(answer.url, file, asker, std::move(stop)));
  }
  if (answer.left_origin) {
    return FileLocation{.url = answer.url.ToString(), .expires_at = SignedUrlDeadline(answer.url)};
  }
  if (!IsSuccess(answer.response.status())) return std::unexpected(Failure(answer, asker));
  FileLocation location{.url = answer.url.ToString()};
  if (answer.url.SameOrigin(endpoint_)) {
    location.headers = asker.credentials;
    location.authorised = !asker.credentials.empty();
  }
  return location;
}

Error HuggingFace::Failure(const RedirectedResponse& answer, const Asker& asker) const {
  std::string said = HubErrorText(answer.response.body);
  if (said.empty()) said = answer.response.headers.Find("x-error-message");
  said = WithoutSecrets(std::move(said), answer.url.ToString(), asker.credentials);
  return HubFailure(answer.response, asker.question, said, system_clock::now());
}

}  // namespace weighhouse::source
