#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/model.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "cli/commands.h"

namespace weighhouse::cli {
namespace {

constexpr size_t kLeastIdDigits = 4;
constexpr size_t kIdDigits = 64;
constexpr size_t kMaxToken = 64 * 1024;

void SetGlobs(const std::optional<std::vector<std::string>>& globs, pb::Patterns& patterns) {
  for (const std::string& glob : *globs) patterns.add_globs(glob);
}

bool IsOfRegistry(const Options& options) { return options.subject.starts_with("oci://"); }

Result<std::string> ReadTokenFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(kMaxToken, '\0');
  ssize_t size = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (size < 0) {
    Error error = FailErrno(errno, fmt::format("read the token file {}", path)).error();
    return Fail(Code::kInvalidArgument, error.message);
  }
  text.resize(static_cast<size_t>(size));
  std::string token(Trim(text));
  if (token.empty())
    return Fail(Code::kInvalidArgument, fmt::format("the token file {} is empty", path));
  return token;
}

}  // namespace

pb::Model ModelOf(const Options& options) {
  pb::Model model;
  model.set_uri(options.subject);
  model.set_revision(options.revision);
  if (options.allow) SetGlobs(options.allow, *model.mutable_allow());
  if (options.ignore) SetGlobs(options.ignore, *model.mutable_ignore());
  return model;
}

std::string TokenName(const Options& options) {
  if (IsOfRegistry(options)) return ".dockerconfigjson";
  if (options.subject.starts_with("https://") || options.subject.starts_with("http://")) {
    return "HTTP_TOKEN";
  }
  return options.subject.starts_with("modelscope://") ? "MODELSCOPE_API_TOKEN" : "HF_TOKEN";
}

Result<std::string> ReadToken(const Options& options) {
  if (options.token_file) return ReadTokenFile(*options.token_file);
  if (IsOfRegistry(options)) return std::string();
  const char* token = std::getenv(TokenName(options).c_str());
  return std::string(token == nullptr ? "" : Trim(token));
}

Result<std::vector<std::string>> SnapshotIdsOf(const std::string& subject,
                                               const pb::ListResponse& list) {
  bool is_reference = subject.contains("://");
  ModelReference model;
  if (is_reference) model = TRY(ModelReference::Parse(subject));
  std::vector<std::string> ids;
  for (const pb::Snapshot& snapshot : list.snapshots()) {
    bool named = is_reference && std::ranges::any_of(snapshot.references(), [&](const auto& text) {
                   return model.Covers(text);
                 });
    if (is_reference ? named : snapshot.id().starts_with(subject)) ids.push_back(snapshot.id());
  }
  if (!is_reference && (subject.size() < kLeastIdDigits || subject.size() > kIdDigits ||
                        !IsHex(subject, subject.size()))) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format(
            "'{}' is neither a model (hf://org/name) nor an id (at least its first {} digits): "
            "`weighhouse ls` shows both",
            Printable(subject), kLeastIdDigits));
  }
  if (ids.empty()) {
    return Fail(
        Code::kNotFound,
        fmt::format("{} is not in the cache: `weighhouse ls` shows what is", Printable(subject)));
  }
  if (!is_reference && ids.size() > 1) {
    return Fail(Code::kInvalidArgument,
                fmt::format("{} ids begin with {}: give more digits", ids.size(), subject));
  }
  return ids;
}

}  // namespace weighhouse::cli
