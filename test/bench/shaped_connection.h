#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"

namespace weighhouse::bench {

using Clock = std::chrono::steady_clock;

/// What the shaping proxy does to a connection. Zero: nothing.
struct Shape {
  std::chrono::milliseconds first_byte{0};  ///< of each response, after its request
  double bytes_per_second = 0;
};

/// One client's connection and its twin to the server behind. Bytes towards the client go from
/// socket to socket through a pipe (splice), so that the proxy costs little of the CPU that it
/// shares with those it measures. HTTP/1.1 without pipelining: whatever the client sends is a new
/// request. Owned by the proxy's one thread.
class ShapedConnection {
 public:
  enum class State { kOpen, kEnded };

  ShapedConnection(UniqueFd client, UniqueFd server, const Shape& shape);

  int client() const { return client_.get(); }
  int server() const { return server_.get(); }
  /// The sockets are registered edge-triggered: what epoll said holds until a call would block.
  void OnClientEvent(uint32_t events);
  void OnServerEvent(uint32_t events);
  /// Moves what may move now.
  State Pump(Clock::time_point now);
  /// When `Pump` can do more without an event; nothing if only an event helps.
  std::optional<Clock::time_point> wake_at() const { return wake_at_; }
  /// True while an answer is on its way.
  bool busy(Clock::time_point now) const;
  /// Ends the connection by RST, as a broken path would.
  void Reset();

 private:
  State PumpRequest(Clock::time_point now);
  State PumpResponse(Clock::time_point now);
  bool FillPipe();
  bool Drain();
  void EarnTokens(Clock::time_point now);
  double Burst() const;

  UniqueFd client_, server_, pipe_in_, pipe_out_;
  const Shape shape_;
  std::string request_;  // what the server has not taken yet
  bool client_readable_ = true, client_writable_ = true;
  bool server_readable_ = true, server_writable_ = true;
  bool server_ended_ = false;
  bool broken_ = false;
  size_t in_pipe_ = 0;
  double tokens_ = 0;
  Clock::time_point tokens_at_;
  Clock::time_point hold_until_;
  Clock::time_point moved_at_;
  std::optional<Clock::time_point> wake_at_;
};

}  // namespace weighhouse::bench
