#include "cache-daemon/source/node_environment.h"

#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

#include "base/text.h"

namespace weighhouse::source {
namespace {

constexpr std::streamsize kMaxCredentialFileBytes = 64 * 1024;

}  // namespace

std::string ProcessEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : std::string(Trim(value));
}

Result<std::string> ReadCredentialFile(const std::string& path, std::string_view variable) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxCredentialFileBytes + 1, '\0');
  file.read(text.data(), kMaxCredentialFileBytes + 1);
  text.resize(static_cast<size_t>(file.gcount()));
  bool whole = text.size() <= kMaxCredentialFileBytes;
  text = Trim(text);
  if (whole && !text.empty()) return text;
  return Fail(Code::kFailedPrecondition,
              fmt::format("{} names {}, which can't be read, is empty or is no such file", variable,
                          Printable(path)));
}

}  // namespace weighhouse::source
