#include <array>
#include <cstdlib>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"

namespace weighhouse::cli {
namespace {

constexpr std::streamsize kMaxAccountFile = 64 * 1024;
constexpr const char* kGoogleFile = "GOOGLE_APPLICATION_CREDENTIALS";
constexpr std::array kAwsVariables = {
    "AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3",   "AWS_ENDPOINT_URL"};

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return std::string(value == nullptr ? "" : Trim(value));
}

Result<SecretValues> GoogleSecret() {
  std::string path = Variable(kGoogleFile);
  if (path.empty()) return SecretValues{};
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxAccountFile, '\0');
  file.read(text.data(), kMaxAccountFile);
  text.resize(static_cast<size_t>(file.gcount()));
  if (!Trim(text).empty()) return SecretValues{{kGoogleFile, std::move(text)}};
  return Fail(Code::kInvalidArgument,
              fmt::format("{} names the file {}, which can't be read or is empty", kGoogleFile,
                          Printable(path)));
}

}  // namespace

Result<SecretValues> ReadSecret(const Options& options) {
  SecretValues secret;
  if (options.subject.starts_with("gs://")) return GoogleSecret();
  if (options.subject.starts_with("s3://")) {
    for (const char* name : kAwsVariables) {
      std::string value = Variable(name);
      if (!value.empty()) secret.emplace(name, std::move(value));
    }
    return secret;
  }
  std::string token = TRY(ReadToken(options));
  if (!token.empty()) secret.emplace(TokenName(options), std::move(token));
  return secret;
}

}  // namespace weighhouse::cli
