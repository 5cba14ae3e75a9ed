#include "test/bench/shaped_connection.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace weighhouse::bench {
namespace {

constexpr size_t kPipeSize = 1 << 20;
constexpr size_t kSmallestMove = 16 << 10;
constexpr int kMovesAtOnce = 8;  // then the other connections have their turn
constexpr std::chrono::milliseconds kBurst(10);
constexpr std::chrono::milliseconds kBusyFor(100);

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

ShapedConnection::ShapedConnection(UniqueFd client, UniqueFd server, const Shape& shape)
    : client_(std::move(client)), server_(std::move(server)), shape_(shape) {
  std::array<int, 2> ends{-1, -1};
  broken_ = ::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0;
  pipe_out_.reset(ends[0]);
  pipe_in_.reset(ends[1]);
  ::fcntl(pipe_in_.get(), F_SETPIPE_SZ, kPipeSize);
  tokens_at_ = hold_until_ = moved_at_ = Clock::now();
}

void ShapedConnection::OnClientEvent(uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) client_readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) client_writable_ = true;
}

void ShapedConnection::OnServerEvent(uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) server_readable_ = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) server_writable_ = true;
}

ShapedConnection::State ShapedConnection::Pump(Clock::time_point now) {
  wake_at_.reset();
  if (broken_ || PumpRequest(now) == State::kEnded) return State::kEnded;
  return PumpResponse(now);
}

ShapedConnection::State ShapedConnection::PumpRequest(Clock::time_point now) {
  std::array<char, 16 << 10> buffer;
  while (client_readable_) {
    ssize_t count = ::recv(client_.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      request_.append(buffer.data(), static_cast<size_t>(count));
      hold_until_ = now + shape_.first_byte;
    } else if (count < 0 && WouldBlock()) {
      client_readable_ = false;
    } else {
      return State::kEnded;
    }
  }
  while (!request_.empty() && server_writable_) {
    ssize_t count = ::send(server_.get(), request_.data(), request_.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      request_.erase(0, static_cast<size_t>(count));
    } else if (WouldBlock()) {
      server_writable_ = false;
    } else {
      return State::kEnded;
    }
  }
  return State::kOpen;
}

ShapedConnection::State ShapedConnection::PumpResponse(Clock::time_point now) {
  EarnTokens(now);
  for (int moves = 0; moves < kMovesAtOnce; ++moves) {
    if (in_pipe_ == 0 && !FillPipe()) return server_ended_ ? State::kEnded : State::kOpen;
    if (now < hold_until_) {
      wake_at_ = hold_until_;
      return State::kOpen;
    }
    double wanted = static_cast<double>(std::min(in_pipe_, kSmallestMove));
    if (shape_.bytes_per_second > 0 && tokens_ < wanted) {
      double seconds = (wanted - tokens_) / shape_.bytes_per_second;
      wake_at_ = now + std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(seconds));
      return State::kOpen;
    }
    if (!Drain()) return broken_ ? State::kEnded : State::kOpen;
    moved_at_ = now;
  }
  wake_at_ = now;
  return State::kOpen;
}

/// Takes what the server has; only into an empty pipe, because splice answers EAGAIN for a full
/// pipe and for an empty socket alike.
bool ShapedConnection::FillPipe() {
  if (!server_readable_ || server_ended_) return false;
  ssize_t count = ::splice(server_.get(), nullptr, pipe_in_.get(), nullptr, kPipeSize,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count > 0) {
    in_pipe_ = static_cast<size_t>(count);
    return true;
  }
  server_readable_ = false;
  server_ended_ = count == 0 || !WouldBlock();
  return false;
}

/// Gives the client what it and the tokens allow; false if it takes nothing now.
bool ShapedConnection::Drain() {
  if (!client_writable_) return false;
  size_t allowed = in_pipe_;
  if (shape_.bytes_per_second > 0) allowed = std::min(allowed, static_cast<size_t>(tokens_));
  ssize_t count = ::splice(pipe_out_.get(), nullptr, client_.get(), nullptr, allowed,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (count <= 0) {
    client_writable_ = false;
    broken_ = count == 0 || !WouldBlock();
    return false;
  }
  in_pipe_ -= static_cast<size_t>(count);
  tokens_ -= static_cast<double>(count);
  return true;
}

void ShapedConnection::EarnTokens(Clock::time_point now) {
  double earned = std::chrono::duration<double>(now - tokens_at_).count() * shape_.bytes_per_second;
  tokens_ = std::min(tokens_ + earned, Burst());
  tokens_at_ = now;
}

double ShapedConnection::Burst() const {
  double burst = std::chrono::duration<double>(kBurst).count() * shape_.bytes_per_second;
  return std::max(burst, 2.0 * kSmallestMove);
}

bool ShapedConnection::busy(Clock::time_point now) const { return now - moved_at_ < kBusyFor; }

void ShapedConnection::Reset() {
  linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(client_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  client_.reset();
  broken_ = true;
}

}  // namespace weighhouse::bench
