#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cache-daemon/fill/connection_governor.h"

namespace weighhouse::fill {

/// A clock that only moves when it is told to.
class ManualClock final : public Clock {
 public:
  std::chrono::system_clock::time_point Now() const override {
    return std::chrono::system_clock::time_point(now_.time_since_epoch());
  }
  std::chrono::steady_clock::time_point Steady() const override { return now_; }
  void Advance(std::chrono::milliseconds step) { now_ += step; }

 private:
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
};

/// A link whose capacity active connections share equally, in steps of 2 ms, and files that fetch
/// ranges over it for as long as they are left, asking a governor.
class SimulatedNetwork {
 public:
  struct Link {
    double bytes_per_second = 125e6;
    double per_connection = 12e6;
    std::chrono::milliseconds first_byte{40};
    size_t refuse_above = 1000;  ///< answers 429 to a request beyond this many
    std::optional<std::chrono::milliseconds> reset_every;
    std::chrono::milliseconds backoff{400};  ///< of a file after a refusal or a reset
  };
  static constexpr std::chrono::milliseconds kStep{2};

  /// A file that wants as many connections as it can get.
  class File final : public ConnectionUser {
   public:
    File(SimulatedNetwork& network, ConnectionClaim claim, size_t most)
        : network_(network), most_(most) {
      network_.governor.SetClaim(*this, std::move(claim));
      Pump();
    }
    ~File() override {
      ranges_.clear();
      network_.governor.Leave(*this);
    }
    void OnConnectionFree() override { Pump(); }
    void OnYield() override {
      if (!ranges_.empty()) ranges_.pop_back();
      Pump();
    }
    size_t connections() const { return ranges_.size(); }
    double bytes() const { return bytes_; }

   private:
    friend class SimulatedNetwork;
    struct Range {
      std::unique_ptr<Connection> connection;
      std::chrono::milliseconds wait{0};
      double left = 0;
      bool refused = false;
    };
    void Pump();

    SimulatedNetwork& network_;
    const size_t most_;
    std::list<Range> ranges_;
    std::vector<std::chrono::milliseconds> backoffs_;
    double bytes_ = 0;
  };

  explicit SimulatedNetwork(Link its_link, ConnectionGovernor::Options options = {})
      : link(its_link), governor(options, clock, [this] { woken_ = true; }) {}

  File& Add(const std::string& fill, FillPriority priority = FillPriority::kWaitedFor,
            size_t most = 1000) {
    ConnectionClaim claim{.host = "https://cdn", .fill = fill, .priority = priority};
    return *files.emplace_back(std::make_unique<File>(*this, std::move(claim), most));
  }
  void Run(std::chrono::milliseconds time);
  /// What all files get a second, over `time`.
  double RateOver(std::chrono::milliseconds time);
  size_t allowance() const { return governor.Hosts().front().allowance; }

  Link link;
  ManualClock clock;
  ConnectionGovernor governor;
  std::vector<std::unique_ptr<File>> files;
  size_t refusals = 0;

 private:
  void Step();
  void Move(File& file, double bytes_each);
  void Reset();
  std::vector<File::Range*> Active();

  bool woken_ = false;
  std::chrono::milliseconds elapsed_{0};
  std::minstd_rand random_{7};
};

}  // namespace weighhouse::fill
