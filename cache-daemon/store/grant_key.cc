#include "cache-daemon/store/grant_key.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/fault.h"
#include "base/hmac.h"
#include "base/log.h"
#include "base/text.h"
#include "cache-daemon/store/record_file.h"

namespace weighhouse::store {
namespace {

constexpr size_t kSecretDigits = 64;
constexpr Bytes kMaxFile = 4096;

Result<std::string> NewSecret() {
  std::array<uint8_t, kSecretDigits / 2> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return FailErrno(errno, "getrandom");
  }
  return HexEncode(bytes);
}

/// Never readable by others, not for a moment: CreateFile makes it 0600.
Result<> WriteSecret(io::Filesystem& filesystem, const std::string& path, std::string_view text) {
  std::string beside = RootLayout::TemporaryBeside(path);
  TRY(io::RemoveTree(filesystem, beside));
  io::OpenedFile file = TRY(filesystem.CreateFile(beside, io::IoMode::kBuffered));
  if (::write(file.fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return FailErrno(errno, "write " + beside);
  }
  TRY(filesystem.SyncFile(beside));
  FaultPoint("grant.key_written");
  TRY(filesystem.Rename(beside, path, io::Replace::kAllowed));
  FaultPoint("grant.key_renamed");
  return filesystem.SyncDirectory(ParentOf(path));
}

}  // namespace

GrantKey::GrantKey(std::string secret) : secret_(std::move(secret)) {}

std::string GrantKey::MacOf(std::string_view origin, std::string_view credential) const {
  // The origin with its length: no two pairs give the same text.
  return HmacSha256(secret_, fmt::format("grant {} {} {}", origin.size(), origin, credential))
      .Hex();
}

std::string GrantKey::MacOfSecret(std::string_view secret) const {
  return HmacSha256(secret_, fmt::format("secret {}", secret)).Hex();
}

Result<LoadedGrantKey> LoadGrantKey(io::Filesystem& filesystem, const RootLayout& layout) {
  std::string path = layout.GrantKeyFile();
  Result<std::string> text = filesystem.ReadFile(path, kMaxFile);
  if (!text && !IsDamage(text.error().code)) return std::unexpected(std::move(text).error());
  if (text && IsHex(Trim(*text), kSecretDigits)) {
    // A process that died before its sync left a name that the disk may not have.
    TRY(filesystem.SyncDirectory(layout.root()));
    return LoadedGrantKey{.key = GrantKey(std::string(Trim(*text)))};
  }
  if (text)
    LogRepeated(LogLevel::kWarning,
                fmt::format("store: {} is no key: grants begin anew with another", path));
  std::string secret = TRY(NewSecret());
  TRY(WriteSecret(filesystem, path, secret + "\n"));
  return LoadedGrantKey{.key = GrantKey(std::move(secret)), .is_new = true};
}

}  // namespace weighhouse::store
