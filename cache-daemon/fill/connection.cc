#include "cache-daemon/fill/connection.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cache-daemon/fill/connection_governor.h"
#include "cache-daemon/fill/source_host.h"

namespace weighhouse::fill {
namespace {

constexpr std::chrono::milliseconds kRateWindow{250};
/// So long a connection needs before its rate means anything: to be opened and asked, and one
/// window.
constexpr std::chrono::milliseconds kMature{500};

}  // namespace

bool Connection::Mature(Time now) const { return !paused_ && now - flowing_since_ >= kMature; }

Connection::Connection(ConnectionGovernor& governor, SourceHost& host, ConnectionUser& user,
                       Time now)
    : governor_(governor),
      host_(host),
      user_(user),
      begun_(now),
      flowing_since_(now),
      meter_(kRateWindow) {
  host_.Opened(*this, now);
  governor_.OnOpened(*this);
}

Connection::~Connection() {
  host_.Closed(*this, Now());
  governor_.OnClosed(*this);
}

Connection::Time Connection::Now() const { return governor_.clock_.Steady(); }

void Connection::AddBytes(Bytes count, Bytes fresh) {
  bytes_ += count;
  host_.pace().AddBytes(fresh);
}

void Connection::SetPaused(bool paused) {
  if (!paused && paused_) flowing_since_ = Now();
  paused_ = paused;
  was_paused_ |= paused;
}

void Connection::OnRefused(std::optional<std::chrono::milliseconds> retry_after) {
  size_t before = host_.pace().allowance();
  host_.pace().OnRefused(retry_after, Now());
  size_t after = host_.pace().allowance();
  if (after == before) return;
  LogRepeated(
      LogLevel::kInfo,
      fmt::format("{} refuses connections: {} allowed instead of {}", host_.name(), after, before),
      {{"host", host_.name()}});
}

void Connection::OnLost() { host_.pace().OnLost(Now()); }

bool Connection::IsLagging() const { return host_.IsLagging(*this, Now()); }

}  // namespace weighhouse::fill
