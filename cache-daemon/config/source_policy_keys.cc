#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "cache-daemon/config/key_tables.h"
#include "cache-daemon/config/value_readers.h"
#include "cache-daemon/source/file_filter.h"

namespace weighhouse::config {
namespace {

using source::kMaxPatterns;
constexpr size_t kMostNamespaceRules = 1000;

bool TakeAddresses(const ConfigValue& value, std::vector<source::AddressRange>& out) {
  if (!value.is_list || value.items.size() > kMaxPatterns) return false;
  std::vector<source::AddressRange> ranges;
  for (const std::string& text : value.items) {
    Result<source::AddressRange> range = source::AddressRange::Parse(text);
    if (!range) return false;
    ranges.push_back(*range);
  }
  out = std::move(ranges);
  return true;
}

bool TakeNamespaceRules(const ConfigValue& value, std::vector<source::NamespaceRule>& out) {
  if (!value.is_list || value.items.size() > kMostNamespaceRules) return false;
  std::vector<source::NamespaceRule> rules;
  for (const std::string& text : value.items) {
    Result<source::NamespaceRule> rule = source::NamespaceRule::Parse(text);
    if (!rule) return false;
    rules.push_back(*std::move(rule));
  }
  out = std::move(rules);
  return true;
}

bool TakePickle(const ConfigValue& value, source::PicklePolicy& out) {
  using enum source::PicklePolicy;
  return TakeChoice<source::PicklePolicy>(
      value,
      {{"allow", kAllow}, {"besideSafetensors", kLeaveOutBesideSafetensors}, {"refuse", kRefuse}},
      out);
}

bool TakePaths(const ConfigValue& value, std::vector<std::string>& out) {
  if (!value.is_list) return false;
  for (const std::string& path : value.items) {
    if (!path.starts_with('/')) return false;
  }
  out = value.items;
  return true;
}

bool TakeProxy(const ConfigValue& value, std::string& out) {
  if (value.is_list || !source::CheckProxy(value.items.front())) return false;
  out = value.items.front();
  return true;
}

/// Hosts, domains and addresses, as Proxies::except.
bool TakeHosts(const ConfigValue& value, std::vector<std::string>& out) {
  if (!value.is_list || value.items.size() > kMaxPatterns) return false;
  bool usable = std::ranges::all_of(value.items, [](const std::string& host) {
    return !host.empty() && host.find_first_of(", @") == std::string::npos && !host.contains("://");
  });
  if (usable) out = value.items;
  return usable;
}

using enum TakesEffect;

constexpr const char* kProxyForm =
    "a URL such as http://proxy:3128, with user:password@ before the host or not";

constexpr const char* kNamespaceForm =
    "a list of at most 1000 globs of namespaces and of model URIs, such as "
    "[\"team-*=hf://org/*\"]";

constexpr std::array kPolicyKeys = {
    ConfigKey{
        "sources.allow", kAtOnce,
        "a list of at most 100 globs of model URIs, such as [\"hf://org/*\"]", "[\"*\"]",
        "Only models whose URI, without revision and query, matches one of these may be used: "
        "`*` matches any characters, `/` too. What is in the cache already is no exception.",
        [](const ConfigValue& value, Config& config) { return TakePatterns(value, config.allow); }},
    ConfigKey{
        "sources.deny", kAtOnce,
        "a list of at most 100 globs of model URIs, such as [\"hf://org/*\"]", "[]",
        "Models whose URI, without revision and query, matches one of these may not be used, "
        "whatever `sources.allow` says. They count whatever the case.",
        [](const ConfigValue& value, Config& config) { return TakePatterns(value, config.deny); }},
    ConfigKey{"sources.allowByNamespace", kAtOnce, kNamespaceForm, "[]",
              "A namespace that one of these is about may use only the models that one of them "
              "names, if `sources.allow` has them too. Other namespaces, `keep` and the command "
              "line are not concerned.",
              [](const ConfigValue& value, Config& config) {
                return TakeNamespaceRules(value, config.allow_by_namespace);
              }},
    ConfigKey{"sources.denyByNamespace", kAtOnce, kNamespaceForm, "[]",
              "Models that the pods and claims of a namespace may not use.",
              [](const ConfigValue& value, Config& config) {
                return TakeNamespaceRules(value, config.deny_by_namespace);
              }},
    ConfigKey{
        "sources.pickle", kAtOnce, "allow, besideSafetensors or refuse", "allow",
        "What becomes of *.bin, *.pt, *.pth, *.ckpt, *.pkl, *.pickle and *.joblib, which may "
        "run code when they are loaded: `besideSafetensors` leaves them out in directories "
        "that have safetensors, `refuse` refuses any selection that has one.",
        [](const ConfigValue& value, Config& config) { return TakePickle(value, config.pickle); }},
    ConfigKey{
        "sources.allowAddresses", kAtOnce,
        "a list of at most 100 addresses and ranges of them, such as [10.0.0.0/8, \"::1\"]", "[]",
        "Where sources may be beside public addresses, and private ones over https: see below.",
        [](const ConfigValue& value, Config& config) {
          return TakeAddresses(value, config.allow_addresses);
        }},
    ConfigKey{
        "sources.http.allowPlain", kAtOnce, "true or false", "false",
        "Whether plain http:// may be used, by any source, elsewhere than at the loopback and "
        "at the endpoints that this configuration names. Redirects from https to http are "
        "never followed.",
        [](const ConfigValue& value, Config& config) {
          return TakeSwitch(value, config.allow_plain_http);
        }},
    ConfigKey{"sources.local.roots", kAtOnce, "a list of absolute paths, such as [/models]", "[]",
              "file:// models must lie below one of these directories.",
              [](const ConfigValue& value, Config& config) {
                return TakePaths(value, config.local_roots);
              }},
    ConfigKey{"sources.caFile", kAtRestart, "an absolute path",
              "the environment's SSL_CERT_FILE, else the system's",
              "The certificate authorities that vouch for sources, and for proxies by https: a PEM "
              "file, in the place of the system's.",
              [](const ConfigValue& value, Config& config) {
                return TakePath(value, config.transport.ca_file);
              }},
    ConfigKey{"sources.proxy.https", kAtOnce, kProxyForm,
              "the environment's HTTPS_PROXY, else its ALL_PROXY",
              "The proxy that https:// URLs are asked through, by CONNECT.",
              [](const ConfigValue& value, Config& config) {
                return TakeProxy(value, config.proxies.https);
              }},
    ConfigKey{"sources.proxy.http", kAtOnce, kProxyForm,
              "the environment's HTTP_PROXY, else its ALL_PROXY",
              "The proxy that http:// URLs are asked through.",
              [](const ConfigValue& value, Config& config) {
                return TakeProxy(value, config.proxies.http);
              }},
    ConfigKey{"sources.proxy.except", kAtOnce,
              "a list of at most 100 hosts, domains and addresses, such as [.svc, example.com, "
              "10.0.0.0/8]",
              "the environment's NO_PROXY",
              "What is asked without a proxy: `.domain` is what is below it, `domain` is that and "
              "itself, `*` everything. The loopback always is.",
              [](const ConfigValue& value, Config& config) {
                return TakeHosts(value, config.proxies.except);
              }},
};

}  // namespace

std::span<const ConfigKey> SourcePolicyKeys() { return kPolicyKeys; }

}  // namespace weighhouse::config
