#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/model.h"

namespace weighhouse::source {

/// A list entry that counts for some namespaces only: `namespace=model`, both globs.
struct NamespaceRule {
  std::string pod_namespace;
  std::string model;
  /// kInvalidArgument says what is wrong: no `=`, no scheme in the model's glob, or too long.
  static Result<NamespaceRule> Parse(std::string_view text);
  bool operator==(const NamespaceRule&) const = default;
};

/// Which models an admin lets be used. Globs as MatchesPattern's, over a model's URI without
/// revision and query.
///
/// What is denied must not be had by being written otherwise: denials count whatever the case, over
/// the URL with its escapes and default port removed too, and a URL whose path has `.` or `..` in
/// it is refused where anything of its scheme is denied. Allowing is literal: what is written
/// otherwise isn't on the list. By whatever other name a source serves the same model (an old one
/// of a renamed repository, a tag of an image) the rules don't know: an allow list does. Where a
/// secret names a service of its own, that one's URI (Source::ElsewhereFor) must pass, too.
struct ModelRules {
  std::vector<std::string> allow{"*"};
  std::vector<std::string> deny;  ///< wins
  /// A namespace that one of these is about may use what one of them names, as far as `allow` lets
  /// it; other namespaces aren't concerned.
  std::vector<NamespaceRule> allow_by_namespace;
  std::vector<NamespaceRule> deny_by_namespace;
  bool operator==(const ModelRules&) const = default;
};

/// For whom a model is asked for.
struct Asker {
  /// Of the pod or its claim; "" if it isn't known. Unset: an admin (the configuration, the command
  /// line, or the daemon by itself), whom rules by namespace don't concern.
  std::optional<std::string> pod_namespace;
};

/// kPermissionDenied, which names the list and what is in it, if `uri` may not be used. Where there
/// are rules by namespace, nobody of an unknown one may use anything.
Result<> CheckModel(const ModelRules& rules, const std::string& uri, const Asker& asker);

}  // namespace weighhouse::source
