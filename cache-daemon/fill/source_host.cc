#include "cache-daemon/fill/source_host.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace weighhouse::fill {
namespace {

constexpr double kLaggingPart = 0.25;
constexpr size_t kEndedRates = 8;
/// A shorter transfer is mostly the wait for its first byte.
constexpr Bytes kTellingBytes = kMiB;

double Median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

std::string HostOfUrl(std::string_view url) {
  size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return std::string(url);
  size_t begin = scheme + 3;
  size_t end = std::min(url.find_first_of("/?#", begin), url.size());
  size_t user = url.substr(0, end).rfind('@');
  if (user != std::string_view::npos && user >= begin) begin = user + 1;
  std::string host(url.substr(0, scheme + 3));
  host += url.substr(begin, end - begin);
  std::ranges::transform(host, host.begin(), [](unsigned char c) { return std::tolower(c); });
  return host;
}

void SourceHost::Opened(Connection& connection, Time now) {
  connections_.insert(&connection);
  pace_.SetInUse(connections_.size(), now);
}

void SourceHost::Closed(Connection& connection, Time now) {
  connections_.erase(&connection);
  pace_.SetInUse(connections_.size(), now);
  if (connection.was_paused_ || connection.bytes_ < kTellingBytes) return;
  std::chrono::duration<double> took = now - connection.begun_;
  if (took.count() <= 0) return;
  ended_rates_.push_back(static_cast<double>(connection.bytes_) / took.count());
  if (ended_rates_.size() > kEndedRates) ended_rates_.pop_front();
}

void SourceHost::Tick(Time now) {
  for (Connection* connection : connections_) {
    connection->rate_ = connection->meter_.Sample(now, connection->bytes_);
  }
  pace_.Measure(now);
}

bool SourceHost::IsLagging(const Connection& connection, Time now) const {
  if (!connection.Mature(now)) return false;
  std::vector<double> others;
  for (const Connection* other : connections_) {
    if (other != &connection && other->Mature(now)) others.push_back(other->rate_);
  }
  if (others.empty()) others.assign(ended_rates_.begin(), ended_rates_.end());
  if (others.empty()) return false;
  return connection.rate_ < kLaggingPart * Median(std::move(others));
}

}  // namespace weighhouse::fill
