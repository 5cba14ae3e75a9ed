#include "cache-daemon/source/modelscope/model_scope.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/file_rights.h"
#include "cache-daemon/source/object_listing.h"

namespace weighhouse::source {
namespace {

constexpr std::string_view kScopeScheme = "modelscope://";
constexpr Bytes kScopeListingLimit = 32 * kMiB;

/// The token as the service's own client sends it, and as its newer API takes it.
Result<std::vector<std::string>> ScopeAuthorization(const Credentials& credentials) {
  std::string token = credentials.First({"MODELSCOPE_API_TOKEN", "token"});
  if (token.empty()) return std::vector<std::string>{};
  bool clean = std::ranges::all_of(token, [](char c) {
    return c > 0x20 && c < 0x7F && c != ';' && c != ',' && c != '"' && c != '\\';
  });
  if (!clean) {
    return std::unexpected(
        Error{.code = Code::kUnauthenticated,
              .message = "the token in MODELSCOPE_API_TOKEN has characters that no token has: "
                         "check the secret for line breaks and quotes",
              .rights_may_help = true});
  }
  return std::vector<std::string>{"Authorization: Bearer " + token,
                                  "Cookie: m_session_id=" + token};
}

/// What a refusal means for people: missing and private look alike to strangers.
Error Explained(Error error, const std::string& repository, const std::string& revision,
                bool with_token) {
  // Other denials are ours: where sources may be.
  bool hidden = error.code == Code::kNotFound || error.code == Code::kUnauthenticated ||
                (error.code == Code::kPermissionDenied && error.rights_may_help);
  if (!hidden) return error;
  error.rights_may_help = true;
  error.message = fmt::format(
      "modelscope://{} or its revision '{}' doesn't exist, or {}: check the names{} ({})",
      repository, Printable(revision),
      with_token ? "the token's account may not see it" : "it is private",
      with_token ? "" : ", or give a token that may read it (MODELSCOPE_API_TOKEN)", error.message);
  return error;
}

}  // namespace

ModelScope::ModelScope(Url endpoint, std::shared_ptr<HttpClient> client)
    : endpoint_(std::move(endpoint)),
      endpoint_text_(endpoint_.path == "/" ? endpoint_.Origin() : endpoint_.ToPublicString()),
      reader_(std::move(client)) {}

Result<ModelScope::Asker> ModelScope::MakeAsker(const ModelReference& reference,
                                                const Credentials& credentials) {
  if (!reference.uri.starts_with(kScopeScheme)) {
    return Fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a ModelScope model: give modelscope://org/name[@revision]",
                            Printable(reference.uri)));
  }
  Asker asker{.repository = reference.uri.substr(kScopeScheme.size()),
              .revision = reference.RevisionOrDefault()};
  asker.credentials = TRY(ScopeAuthorization(credentials));
  asker.key = fmt::format("{}@{}", asker.repository, asker.revision);
  if (!asker.credentials.empty()) {
    asker.key += " " + Digest::Of(asker.credentials.front()).Hex();
  }
  return asker;
}

Result<WebQuestion> ModelScope::Question(const Asker& asker,
                                         const std::string& path_and_query) const {
  WebQuestion question{.credentials = asker.credentials, .refuses_head = true};
  question.url = TRY(Url::Parse(
      fmt::format("{}/api/v1/models/{}/{}", endpoint_text_, asker.repository, path_and_query)));
  return question;
}

std::string ModelScope::OriginFor(const ModelReference& reference, const Credentials&) const {
  return fmt::format("modelscope+{}/{}", endpoint_text_, reference.uri.substr(kScopeScheme.size()));
}

Result<Listing> ModelScope::Resolve(const ModelReference& reference, const Credentials& credentials,
                                    std::stop_token stop) {
  Asker asker = TRY(MakeAsker(reference, credentials));
  ScopeFiles files = TRY(List(asker, stop));
  Listing listing{.origin = OriginFor(reference, credentials),
                  .anonymous = asker.credentials.empty()};
  for (const auto& [path, file] : files) {
    listing.files.push_back({.path = path, .size = file.size, .identity = file.Identity(path)});
  }
  TRY(CheckListing(listing));
  listing.revision = RevisionOf(listing.files);
  // Who may list a repository need not be let into it.
  auto largest = std::ranges::max_element(listing.files, {}, &ListedFile::size);
  if (largest->size > 0) {
    WebFile found = TRY(Find(asker, *largest, files.at(largest->path), std::move(stop)));
    // It says refusals by HTTP 200, too.
    TRY(CheckShown(*largest, found.size, reference.uri + "/" + largest->path));
  }
  Bytes bytes = BytesOf(files);
  recent_.Remember(asker.key, std::move(files), bytes);
  return listing;
}

Result<ScopeFiles> ModelScope::List(const Asker& asker, std::stop_token stop) {
  WebQuestion question = TRY(Question(
      asker, fmt::format("repo/files?Revision={}&Recursive=true", PercentEncode(asker.revision))));
  Result<std::string> text = reader_.Read(question, kScopeListingLimit, std::move(stop));
  Result<ScopeFiles> files =
      text ? ParseScopeListing(*text) : std::unexpected(std::move(text).error());
  if (files) return files;
  return std::unexpected(Explained(std::move(files).error(), asker.repository, asker.revision,
                                   !asker.credentials.empty()));
}

Result<FileLocation> ModelScope::Locate(const ModelReference& reference, const Listing&,
                                        const ListedFile& file, const Credentials& credentials,
                                        std::stop_token stop) {
  Asker asker = TRY(MakeAsker(reference, credentials));
  std::shared_ptr<const ScopeFiles> files = recent_.Find(asker.key);
  if (!files) {
    ScopeFiles read = TRY(List(asker, stop));
    Bytes bytes = BytesOf(read);
    files = recent_.Remember(asker.key, std::move(read), bytes);
  }
  auto listed = files->find(file.path);
  if (listed == files->end() || listed->second.Identity(file.path) != file.identity) {
    return Fail(Code::kOutOfRange,
                fmt::format("{}: modelscope://{}@{} moved since it was listed",
                            Printable(file.path), asker.repository, Printable(asker.revision)));
  }
  WebFile found = TRY(Find(asker, file, listed->second, std::move(stop)));
  if (found.size == file.size) return std::move(found.location);
  return Fail(Code::kOutOfRange, fmt::format("{}: listed with {} bytes, found with {}",
                                             Printable(file.path), file.size, found.size));
}

Result<WebFile> ModelScope::Find(const Asker& asker, const ListedFile& file,
                                 const ScopeFile& listed, std::stop_token stop) {
  const std::string& commit = listed.commit;
  Result<WebFile> found = Look(asker, file.path, commit.empty() ? asker.revision : commit, stop);
  bool unknown_commit = !found && found.error().code == Code::kNotFound && !commit.empty();
  // Where commits can't be asked for, the digest alone must tell.
  if (unknown_commit && file.identity.kind == FileIdentity::Kind::kSha256) {
    found = Look(asker, file.path, asker.revision, std::move(stop));
  }
  if (found) return found;
  return std::unexpected(Explained(std::move(found).error(), asker.repository, asker.revision,
                                   !asker.credentials.empty()));
}

Result<WebFile> ModelScope::Look(const Asker& asker, const std::string& path,
                                 const std::string& revision, std::stop_token stop) {
  WebQuestion question =
      TRY(Question(asker, fmt::format("repo?Revision={}&FilePath={}", PercentEncode(revision),
                                      PercentEncode(path))));
  return reader_.Look(question, std::move(stop));
}

}  // namespace weighhouse::source
