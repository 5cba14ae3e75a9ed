#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <stop_token>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/unique_fd.h"
#include "cache-daemon/source/connection_policy.h"
#include "cache-daemon/source/http_client.h"
#include "cache-daemon/source/url.h"
#include "cli/doctor_gather.h"

namespace weighhouse::cli {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using Step = SourceFacts::Step;

constexpr milliseconds kSourceConnectsWithin = 3s;
constexpr milliseconds kSourceAnswersWithin = 6s;

/// Where libcurl of the distributions that we build for has them.
constexpr std::string_view kSystemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

std::string EnvironmentText(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// As the source module chooses them.
std::string AuthoritiesFile(const config::Config& config) {
  return config.transport.ca_file.empty() ? EnvironmentText("SSL_CERT_FILE")
                                          : config.transport.ca_file;
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

/// The addresses of a host (IPv6 in brackets or not); "" in `error` if there are some.
Addresses Resolve(std::string host, const std::string& port, std::string& error) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int failed = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (failed != 0) error = fmt::format("{} can't be resolved: {}", host, ::gai_strerror(failed));
  return Addresses(found);
}

/// 0, or an errno value.
int ConnectTo(const addrinfo& address, milliseconds within) {
  UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd writable{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&writable, 1, static_cast<int>(within.count())) == 0) return ETIMEDOUT;
  int error_number = 0;
  socklen_t size = sizeof error_number;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error_number, &size);
  return error_number;
}

/// 0 if one of them takes connections within the time that they have together.
int ConnectToAny(const addrinfo* addresses) {
  auto until = std::chrono::steady_clock::now() + kSourceConnectsWithin;
  int error_number = EHOSTUNREACH;
  for (const addrinfo* each = addresses; each != nullptr; each = each->ai_next) {
    auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
    if (left <= 0ms) return ETIMEDOUT;
    error_number = ConnectTo(*each, left);
    if (error_number == 0) return 0;
  }
  return error_number;
}

/// Whom we connect to ourselves: the server, or the proxy. False, and why, if that fails.
bool Reach(const source::Url& first, SourceFacts& facts) {
  Addresses addresses = Resolve(first.host, first.port, facts.error);
  if (!addresses) {
    facts.step = Step::kResolve;
    return false;
  }
  int failed = ConnectToAny(addresses.get());
  if (failed == 0) return true;
  facts.step = Step::kConnect;
  facts.error = fmt::format("can't connect to {}: {}", first.HostAndPort(), std::strerror(failed));
  return false;
}

source::Proxies ProxiesOf(const config::Config& config) {
  source::Proxies environment = source::Proxies::OfEnvironment(), proxies = config.proxies;
  if (proxies.http.empty()) proxies.http = environment.http;
  if (proxies.https.empty()) proxies.https = environment.https;
  if (proxies.except.empty()) proxies.except = environment.except;
  return proxies;
}

/// When the server answered. What a cache on the way kept has the Date of then, and since then an
/// Age in seconds (RFC 9111 section 5.1).
std::optional<std::chrono::sys_seconds> AnsweredAt(const source::HttpHeaders& headers) {
  auto date = source::ParseHttpDate(headers.Find("date"));
  if (!date) return std::nullopt;
  constexpr uint32_t kMostAge = 1U << 31;  // what RFC 9111 section 1.2.2 ends counting at
  std::string_view text = Trim(headers.Find("age"));
  uint32_t age = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), age);
  if (error != std::errc() || end != text.data() + text.size() || age > kMostAge) age = 0;
  return std::chrono::floor<std::chrono::seconds>(*date) + std::chrono::seconds(age);
}

void Ask(const source::Url& url, const config::Config& config, source::Proxies proxies,
         std::chrono::sys_seconds now, SourceFacts& facts) {
  auto policy = std::make_shared<const source::ConnectionPolicy>(
      source::ConnectionRules{.allow_addresses = config.allow_addresses,
                              .allow_plain_http = config.allow_plain_http,
                              .endpoints = {url.Origin()},
                              .bucket_endpoint = std::nullopt,
                              .proxies = std::move(proxies)});
  source::HttpClient client({.connect_timeout = kSourceAnswersWithin,
                             .total_timeout = kSourceAnswersWithin,
                             .ca_file = AuthoritiesFile(config),
                             .policy = policy});
  auto began = std::chrono::steady_clock::now();
  Result<source::HttpResponse> answer =
      client.Send({.method = source::HttpMethod::kHead, .url = url.ToString(), .body_limit = 0},
                  std::stop_token());
  facts.took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  if (!answer) {
    // By CONNECT a proxy's refusal is no answer, and stands in libcurl's words only.
    if (!facts.proxy.empty() && answer.error().message.contains(" 407")) {
      facts.status = 407;
      return;
    }
    // The word of the source module (CurlFailure): nothing else tells these apart.
    bool certificate = answer.error().message.contains("certificate");
    facts.step = certificate ? Step::kCertificate : Step::kAnswer;
    facts.error = answer.error().message;
    return;
  }
  facts.status = answer->status();
  // The clock as it was read before, and the time since: the answer may have taken seconds.
  auto here = now + std::chrono::duration_cast<std::chrono::seconds>(facts.took);
  if (auto answered = AnsweredAt(answer->headers)) facts.ahead = here - *answered;
}

}  // namespace

AuthoritiesFacts ReadAuthorities(const config::Config& config) {
  AuthoritiesFacts facts{.file = AuthoritiesFile(config)};
  if (facts.file.empty()) facts.file = kSystemAuthorities;
  errno = 0;
  std::ifstream file(facts.file);
  if (!file) {
    facts.read_error = errno != 0 ? errno : EIO;
    return facts;
  }
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("-----BEGIN") && line.contains("CERTIFICATE-----")) ++facts.certificates;
  }
  return facts;
}

std::string SourceOf(const DoctorOptions& options, const config::Config& config) {
  if (options.source) return *options.source;
  if (!config.hub_endpoint.empty()) return config.hub_endpoint;
  std::string environment = EnvironmentText("HF_ENDPOINT");
  return environment.empty() ? "https://huggingface.co" : environment;
}

SourceFacts AskSource(const std::string& text, const config::Config& config,
                      std::chrono::sys_seconds now) {
  SourceFacts facts{.url = source::ShownUrl(text)};
  Result<source::Url> url = source::Url::Parse(text);
  if (!url) {
    facts.step = Step::kUrl;
    facts.error = url.error().message;
    return facts;
  }
  facts.url = url->ToPublicString();
  facts.encrypted = url->scheme == "https";
  source::Proxies proxies = ProxiesOf(config);
  const std::string& proxy = proxies.For(*url);
  source::Url first = *url;
  if (!proxy.empty()) {
    facts.proxy = source::WithoutUser(proxy);
    size_t scheme = proxy.find("://"), user = proxy.rfind('@');
    std::string bare = proxy;
    if (user != std::string::npos && scheme != std::string::npos && user > scheme)
      bare.erase(scheme + 3, user - scheme - 2);
    Result<source::Url> parsed = source::Url::Parse(bare);
    if (!parsed) {
      facts.step = Step::kUrl;
      facts.error = fmt::format("the proxy {} is no URL", facts.proxy);
      return facts;
    }
    first = *std::move(parsed);
  }
  if (Reach(first, facts)) Ask(*url, config, std::move(proxies), now, facts);
  return facts;
}

}  // namespace weighhouse::cli
