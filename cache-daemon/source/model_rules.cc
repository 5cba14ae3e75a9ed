#include "cache-daemon/source/model_rules.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "cache-daemon/source/file_filter.h"
#include "cache-daemon/source/url.h"

namespace weighhouse::source {
namespace {

/// Without escapes; what only looks like one stays. Proxies and servers may each decode once.
std::string FullyDecoded(std::string text) {
  for (size_t at = text.find('%'); at != std::string::npos; at = text.find('%', at)) {
    std::optional<std::string> byte;
    if (at + 3 <= text.size()) byte = PercentDecode(std::string_view(text).substr(at, 3));
    if (byte) {
      text.replace(at, 3, *byte);
      // The byte may complete an escape that begins up to two before it.
      at -= std::min<size_t>(at, 2);
    } else {
      ++at;
    }
  }
  return text;
}

/// Servers and curl take `/a/../b` for `/b`, so what a pattern says of a path would be anything.
/// Some take `\` for `/`, and leave out of a segment what follows a `;`.
bool HasDotSegments(const std::string& uri) {
  std::string path = FullyDecoded(uri);
  std::ranges::replace(path, '\\', '/');
  bool escapes_dots = ToLower(uri).contains("%2e");
  return escapes_dots || std::ranges::any_of(SplitAndTrim(path, '/'), [](std::string_view segment) {
           segment = segment.substr(0, segment.find(';'));
           return segment == "." || segment == "..";
         });
}

std::string SchemeOf(std::string_view uri) { return ToLower(uri.substr(0, uri.find("://"))); }

bool IsAllowedBy(const std::string& pattern, const std::string& name) {
  return pattern == "*" || (MatchesPattern(pattern, name) && !HasDotSegments(name));
}

/// The names under which `name` may be denied: as it is, and as whoever serves it will read it.
std::vector<std::string> ReadingsOf(const std::string& name) {
  std::vector<std::string> readings = {ToLower(name)};
  std::string scheme = SchemeOf(name);
  if (scheme != "https" && scheme != "http") return readings;
  Result<Url> url = Url::Parse(name);
  if (!url) return readings;  // no source will ask for it
  std::string host = url->host;
  if (host.ends_with('.')) {
    host.pop_back();
    url->host = host;
  }
  std::string path = FullyDecoded(url->path);
  // Most servers take many slashes for one.
  std::string squeezed;
  for (char c : path) {
    if (c != '/' || !squeezed.ends_with('/')) squeezed += c;
  }
  readings.push_back(ToLower(url->ToPublicString()));
  readings.push_back(ToLower(url->Origin() + squeezed));
  return readings;
}

bool IsDeniedBy(const std::string& pattern, const std::string& name,
                const std::vector<std::string>& readings) {
  std::string lower = ToLower(pattern);
  bool any_scheme = !lower.contains("://") || lower.substr(0, lower.find("://")).contains('*');
  bool concerns = any_scheme || SchemeOf(lower) == SchemeOf(name);
  if (concerns && HasDotSegments(name)) return true;
  return std::ranges::any_of(
      readings, [&](const std::string& reading) { return MatchesPattern(lower, reading); });
}

std::string Listed(const std::vector<std::string>& patterns) {
  return Printable(fmt::format("[{}]", fmt::join(patterns, ", ")));
}

/// The models' globs of those entries that are about `pod_namespace`.
std::vector<std::string> ModelsFor(const std::vector<NamespaceRule>& rules,
                                   const std::string& pod_namespace) {
  std::vector<std::string> models;
  for (const NamespaceRule& rule : rules) {
    if (MatchesPattern(rule.pod_namespace, pod_namespace)) models.push_back(rule.model);
  }
  return models;
}

std::unexpected<Error> Refused(const std::string& name, std::string_view why) {
  return Fail(Code::kPermissionDenied, fmt::format("{}: {}", Printable(name), why));
}

Result<> CheckNotDenied(const std::vector<std::string>& deny, const std::string& name,
                        std::string_view key) {
  if (deny.empty()) return {};
  std::vector<std::string> readings = ReadingsOf(name);
  for (const std::string& pattern : deny) {
    if (!IsDeniedBy(pattern, name, readings)) continue;
    return Refused(name,
                   fmt::format("an admin denies it here: {} has '{}'", key, Printable(pattern)));
  }
  return {};
}

Result<> CheckIsAllowed(const std::vector<std::string>& allow, const std::string& name,
                        std::string_view key) {
  bool allowed = std::ranges::any_of(
      allow, [&](const std::string& pattern) { return IsAllowedBy(pattern, name); });
  if (allowed) return {};
  return Refused(name, fmt::format("not one of the models that may be used here: an admin lists "
                                   "them in {}, which has {}",
                                   key, Listed(allow)));
}

Result<> CheckNamespace(const ModelRules& rules, const std::string& name,
                        const std::string& pod_namespace) {
  if (rules.allow_by_namespace.empty() && rules.deny_by_namespace.empty()) return {};
  if (pod_namespace.empty()) {
    return Refused(name,
                   "models are allowed by namespace here, and the one that asks isn't known: "
                   "the provisioner must run with --extra-create-metadata, and the CSIDriver "
                   "have podInfoOnMount");
  }
  std::string of_it = fmt::format(" (namespace {})", Printable(pod_namespace));
  TRY(CheckNotDenied(ModelsFor(rules.deny_by_namespace, pod_namespace), name,
                     "sources.denyByNamespace" + of_it));
  std::vector<std::string> allow = ModelsFor(rules.allow_by_namespace, pod_namespace);
  if (allow.empty()) return {};
  return CheckIsAllowed(allow, name, "sources.allowByNamespace" + of_it);
}

}  // namespace

Result<NamespaceRule> NamespaceRule::Parse(std::string_view text) {
  size_t equals = text.find('=');
  NamespaceRule rule;
  if (equals != std::string_view::npos) {
    rule.pod_namespace = Trim(text.substr(0, equals));
    rule.model = Trim(text.substr(equals + 1));
  }
  bool names_scheme = rule.model == "*" || rule.model.contains("://");
  if (!rule.pod_namespace.empty() && names_scheme && text.size() <= kMaxPatternBytes) return rule;
  return Fail(Code::kInvalidArgument,
              fmt::format("'{}' is no rule for a namespace: give namespace=model, both globs, such "
                          "as team-*=hf://org/*",
                          Printable(text, 60)));
}

Result<> CheckModel(const ModelRules& rules, const std::string& uri, const Asker& asker) {
  // In a file's name it is a character as any other.
  size_t query = uri.starts_with("file://") ? std::string::npos : uri.find('?');
  const std::string name = uri.substr(0, query);
  TRY(CheckNotDenied(rules.deny, name, "sources.deny"));
  TRY(CheckIsAllowed(rules.allow, name, "sources.allow"));
  if (!asker.pod_namespace) return {};
  return CheckNamespace(rules, name, *asker.pod_namespace);
}

}  // namespace weighhouse::source
