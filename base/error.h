#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weighhouse {

/// What went wrong, in the classes a caller can act on. The numbers are those of gRPC's status
/// codes (grpc/doc/statuscodes.md); `api/` asserts that they stay equal. Whether kubelet takes a
/// code as final is in `csi/`, not here.
enum class Code {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// The field's name of `code`, such as "NOT_FOUND".
std::string_view CodeName(Code code);

/// True where trying the same call again later may succeed without anybody's doing.
bool IsTemporary(Code code);

/// A failure: its class and one line for people, context outermost first
/// (`fill hf://a/b@main: model.safetensors: digest mismatch: want … got …`).
struct Error {
  Code code = Code::kUnknown;
  std::string message;
  /// How long the other side asked us to wait before trying again (RFC 9110 section 10.2.3).
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
  /// A source refused these credentials, and may not refuse others.
  bool rights_may_help = false;

  /// The same error, with `context` put in front: "context: message".
  Error Within(std::string_view context) &&;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// Makes the failure value of a Result from a code and an fmt-style message.
std::unexpected<Error> Fail(Code code, std::string message);

/// The failure of a system call, from `errno` as `error_number`: "open /x: No such file or
/// directory". ENOSPC and EDQUOT become kResourceExhausted, ENOENT kNotFound, EEXIST
/// kAlreadyExists, EACCES/EPERM/EROFS kFailedPrecondition (our own file rights are wrong, not a
/// tenant's), else kInternal.
std::unexpected<Error> FailErrno(int error_number, std::string_view what);

namespace internal {
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);
}  // namespace internal
}  // namespace weighhouse

/// Evaluates to the value of a Result, or returns its error from the enclosing function. Only as a
/// whole statement or as the whole initialiser of one variable: inside braces or arguments g++ 12
/// leaks what the full expression has built so far.
#define TRY(expression)                                                                 \
  __extension__({                                                                       \
    auto try_result = (expression);                                                     \
    if (!try_result.has_value()) return std::unexpected(std::move(try_result).error()); \
    std::move(try_result).value();                                                      \
  })

/// Ends the process if an invariant of ours is broken. Never for input, network or disk.
#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) ::weighhouse::internal::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
