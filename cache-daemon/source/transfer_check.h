#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "cache-daemon/source/http_headers.h"

namespace weighhouse::source {

/// True for a status whose body is what was asked for, or pretends to be (200, 206); else the body
/// explains an error.
bool HasContent(int status);

/// Whether the same request may be answered otherwise later: 408, 425, 429 and 5xx.
bool IsPassing(int status);

/// What a Content-Encoding means.
enum class Encoding {
  kOfTransfer,  ///< the server made other bytes of the file's, though identity was asked for
  kLabel,       ///< the file itself is so, and comes as it is (FileLocation::stored_as_is)
};

/// Whether an answer with content brings exactly `range` (nothing: the whole file) of a file of
/// `size` bytes (nothing: of any size): kUnimplemented for a 200 to a ranged request, kOutOfRange
/// for another range, total or length than asked for, and for content encoded on its way.
Result<> CheckContent(const HttpHeaders& headers, const std::optional<ByteRange>& range,
                      std::optional<Bytes> size, Encoding encoding = Encoding::kOfTransfer);

/// The failure that an answer without content means (see TransferEnd; S3's ExpiredToken is
/// kUnauthenticated), with `body`, the printable start of it, and retry_after where the server gave
/// one.
Error AnswerFailure(const HttpHeaders& headers, std::string_view body,
                    std::chrono::system_clock::time_point now);

}  // namespace weighhouse::source
