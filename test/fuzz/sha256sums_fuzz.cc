// A SHA256SUMS, whoever wrote it.

#include "base/text.h"
#include "cache-daemon/source/sha256sums.h"
#include "test/fuzz/fuzz.h"

namespace weighhouse::source {
namespace {

/// The line that sha256sum(1) writes.
std::string LineOf(const std::string& path, const Digest& digest) {
  std::string escaped;
  for (char c : path) {
    if (c == '\\') escaped += "\\\\";
    if (c == '\n') escaped += "\\n";
    if (c != '\\' && c != '\n') escaped += c;
  }
  return (escaped == path ? "" : "\\") + digest.Hex() + "  " + escaped + "\n";
}

}  // namespace

WEIGHHOUSE_FUZZ_TARGET(sha256sums, bytes) {
  Result<std::map<std::string, Digest>> sums = ParseSha256Sums(bytes);
  if (!sums) {
    const std::string& message = sums.error().message;
    CHECK(sums.error().code == Code::kInvalidArgument);
    CHECK(message.size() < 2000 && Printable(message, 2000) == message);
    return;
  }
  // 64 digits, a separator and a name each.
  CHECK(sums->size() * 65 <= bytes.size());
  std::string text;
  std::map<std::string, Digest> kept;
  for (const auto& [path, digest] : *sums) {
    CHECK(!path.starts_with("./"));
    // sha256sum(1) escapes a carriage return too, which older ones wrote as it is.
    if (path.empty() || path.contains('\r')) continue;
    text += LineOf(path, digest);
    kept.emplace(path, digest);
  }
  Result<std::map<std::string, Digest>> again = ParseSha256Sums(text);
  CHECK(again && *again == kept);
}

}  // namespace weighhouse::source
