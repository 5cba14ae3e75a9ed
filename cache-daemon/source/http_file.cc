#include "cache-daemon/source/http_file.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cache-daemon/source/file_name.h"
#include "cache-daemon/source/web/web_credentials.h"

namespace weighhouse::source {
namespace {

Result<std::string> NameOf(const Url& url) {
  auto name = PercentDecode(std::string_view(url.path).substr(url.path.rfind('/') + 1));
  if (!name || name->contains('/')) {
    return Fail(Code::kInvalidArgument, fmt::format("'{}' has no usable file name at its end",
                                                    Printable(url.ToPublicString())));
  }
  TRY(CheckPath(*name));
  return std::move(*name);
}

Result<WebQuestion> QuestionOf(const ModelReference& reference, const Credentials& credentials) {
  WebQuestion question;
  question.url = TRY(Url::Parse(reference.uri));
  question.credentials = TRY(WebAuthorization(credentials));
  return question;
}

Result<FileIdentity> IdentityOf(const ModelReference& reference, const WebFile& file,
                                const Url& url) {
  if (reference.expected_sha256) {
    return FileIdentity{FileIdentity::Kind::kSha256, reference.expected_sha256->Hex()};
  }
  if (!file.version.empty()) return FileIdentity{.value = file.version};
  return Fail(
      Code::kInvalidArgument,
      fmt::format("{} gives neither a strong ETag nor Last-Modified, so a change could not be "
                  "noticed: name the content, {}#sha256=<hex>",
                  url.HostAndPort(), Printable(url.ToPublicString())));
}

}  // namespace

std::string HttpFile::OriginFor(const ModelReference& reference, const Credentials&) const {
  Result<Url> url = Url::Parse(reference.uri);
  return url ? WebOrigin(*url, secret_digest_) : "";
}

Result<Listing> HttpFile::Resolve(const ModelReference& reference, const Credentials& credentials,
                                  std::stop_token stop) {
  WebQuestion question = TRY(QuestionOf(reference, credentials));
  Found found = TRY(Look(reference, question, std::move(stop)));
  Listing listing{.origin = OriginFor(reference, credentials),
                  .revision = Digest::Of(found.file.identity.value).Hex(),
                  .anonymous = question.url.query.empty() && question.credentials.empty(),
                  .files = {std::move(found.file)}};
  TRY(CheckListing(listing));
  return listing;
}

Result<FileLocation> HttpFile::Locate(const ModelReference& reference, const Listing&,
                                      const ListedFile& file, const Credentials& credentials,
                                      std::stop_token stop) {
  WebQuestion question = TRY(QuestionOf(reference, credentials));
  Found found = TRY(Look(reference, question, std::move(stop)));
  if (found.file == file) return std::move(found.location);
  return Fail(
      Code::kOutOfRange,
      fmt::format("{}: it changed since it was listed: listed {} bytes, {}; found {} bytes, {}",
                  Printable(file.path), file.size, Printable(file.identity.value, 80),
                  found.file.size, Printable(found.file.identity.value, 80)));
}

Result<HttpFile::Found> HttpFile::Look(const ModelReference& reference, const WebQuestion& question,
                                       std::stop_token stop) {
  Found found;
  found.file.path = TRY(NameOf(question.url));
  WebFile seen = TRY(reader_.Look(question, std::move(stop)));
  found.file.size = seen.size;
  found.file.identity = TRY(IdentityOf(reference, seen, question.url));
  found.location = std::move(seen.location);
  return found;
}

}  // namespace weighhouse::source
