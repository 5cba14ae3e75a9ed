#pragma once

#include <string>

#include "base/model.h"

namespace weighhouse::source::oci {

/// A repository of a registry, as the registry itself is asked for it.
struct ImageName {
  std::string registry;    ///< host, with its port if one was given: `registry.example.com:5000`
  std::string repository;  ///< `org/name`

  /// Of an `oci://` reference. Docker Hub's public name becomes that of its registry, and a
  /// repository of a single part there one of `library/`. kInvalidArgument for other schemes.
  static Result<ImageName> Of(const ModelReference& reference);
};

/// The name that credentials for `registry` go by: Docker Hub's several ones are one.
std::string CredentialHost(const std::string& registry);

}  // namespace weighhouse::source::oci
