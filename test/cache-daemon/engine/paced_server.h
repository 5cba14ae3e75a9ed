#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "base/units.h"

namespace weighhouse {

/// A pace that holds nothing up.
inline constexpr double kAsFastAsItCan = 1e10;

/// An HTTP server of one file on a loopback port of the kernel's choice whose connections each have
/// a speed of their own, for life. Thread-safe.
class PacedServer {
 public:
  /// Bytes a second of the `number`th connection (from 0) that asks for a part of the file.
  using Pace = std::function<double(int number)>;
  PacedServer(std::string content, Pace pace);
  ~PacedServer();
  PacedServer(const PacedServer&) = delete;
  PacedServer& operator=(const PacedServer&) = delete;

  /// `http://127.0.0.1:P/` + `name`.
  std::string Url(const std::string& name) const;
  /// Connections that asked for a part of the file so far.
  int fetching() const { return fetching_.load(); }

 private:
  void Accept();
  void Serve(UniqueFd socket);
  /// False if the client went, or the server ends.
  bool Send(int fd, std::string_view bytes, double bytes_per_second) const;
  std::string Answer(const std::string& head, std::string_view& body) const;
  bool Wait(int fd, short events, int milliseconds) const;

  const std::string content_;
  const Pace pace_;
  UniqueFd listener_;
  UniqueFd ended_;
  int port_ = 0;
  std::atomic<int> fetching_ = 0;
  std::vector<std::jthread> connections_;
  std::jthread acceptor_;
};

}  // namespace weighhouse
