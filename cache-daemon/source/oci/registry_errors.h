#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cache-daemon/source/http_client.h"

namespace weighhouse::source::oci {

/// What a registry was asked, for the message when it says no.
struct RegistryQuestion {
  std::string model;     ///< `oci://registry/repository`
  std::string what;      ///< `manifest latest`, `blob sha256:…`
  std::string registry;  ///< who was asked: `https://registry.example.com`
  bool with_login = false;
};

/// The failure that `response`, no success, means (distribution-spec, "Error Codes"), with the way
/// out in its message. `said` is the registry's own text, free of secrets. kNotFound,
/// kUnauthenticated, kPermissionDenied, kUnavailable (with retry_after), else kFailedPrecondition.
/// Where another login may be told otherwise, with rights_may_help.
Error RegistryFailure(const HttpResponse& response, const RegistryQuestion& question,
                      const std::string& said, std::chrono::system_clock::time_point now);

/// The text of an error's body, `{"errors": [{"code": "…", "message": "…"}]}`: "CODE: message" of
/// the first; "" if it is none.
std::string RegistryErrorText(std::string_view json);

}  // namespace weighhouse::source::oci
