#include "cache-daemon/source/connection_guard.h"

#include <sys/socket.h>

#include <utility>

namespace weighhouse::source {

Result<> ConnectionGuard::Admit(const Url& url, const ConnectionPolicy& policy, UrlFrom from) {
  rules_ = policy.Rules();
  url_ = url;
  connected_ = false;
  refusal_.reset();
  proxy_.clear();
  judges_ = from == UrlFrom::kSource;
  if (!judges_) {
    if (url.scheme == "https") proxy_ = rules_->proxies.For(url);
    return {};
  }
  TRY(CheckScheme(*rules_, url));
  std::optional<IpAddress> literal = IpAddress::Parse(url.host);
  if (literal) TRY(CheckAddress(*rules_, url, *literal));
  proxy_ = rules_->proxies.For(url);
  judges_ = proxy_.empty();
  return {};
}

void ConnectionGuard::Attach(CURL* easy) {
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &ConnectionGuard::OnOpenSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &ConnectionGuard::OnRequest);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  // Also where there is none: libcurl would ask the environment, whose words are in the rules.
  curl_easy_setopt(easy, CURLOPT_PROXY, proxy_.c_str());
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
}

bool ConnectionGuard::Allows(const std::optional<IpAddress>& address) {
  if (!judges_) return true;
  Result<> allowed = Fail(Code::kPermissionDenied, "no IP address");
  if (address) allowed = CheckAddress(*rules_, url_, *address);
  if (allowed) {
    connected_ = true;
    return true;
  }
  refusal_ = std::move(allowed).error();
  return false;
}

curl_socket_t ConnectionGuard::OnOpenSocket(void* self, curlsocktype, curl_sockaddr* address) {
  auto* guard = static_cast<ConnectionGuard*>(self);
  if (!guard->Allows(IpAddress::Of(address->addr))) return CURL_SOCKET_BAD;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int ConnectionGuard::OnRequest(void* self, char* remote, char*, int, int) {
  auto* guard = static_cast<ConnectionGuard*>(self);
  std::optional<IpAddress> address;
  if (remote != nullptr) address = IpAddress::Parse(remote);
  return guard->Allows(address) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

std::optional<Error> ConnectionGuard::Refusal() const {
  // One of several addresses may be refused and another just not answer: that may pass.
  return connected_ ? std::nullopt : refusal_;
}

}  // namespace weighhouse::source
