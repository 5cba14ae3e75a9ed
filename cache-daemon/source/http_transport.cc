#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "base/thread.h"
#include "cache-daemon/source/curl_loop.h"
#include "cache-daemon/source/file_loop.h"
#include "cache-daemon/source/task_queue.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Which loop carries a transfer is told by its id, so that no table has to be kept.
constexpr TransferId kIdsPerSerial = 64;
constexpr int kMostLoops = kIdsPerSerial;

/// The loops. The first one's thread also runs the tasks and reads local files; the others are made
/// when they are needed, and stay.
class LoopTransport final : public Transport {
 public:
  LoopTransport(const TransportOptions& options, CurlMulti multi);
  ~LoopTransport() override;

  void Post(std::function<void()> task) override { PostAfter(milliseconds(0), std::move(task)); }
  void PostAfter(milliseconds delay, std::function<void()> task) override;
  void Reconfigure(const TransportOptions& options) override {
    settings_.stall_timeout = options.stall_timeout;
    settings_.max_connections = options.max_connections;
  }
  TransferId Start(const FileLocation& location, std::optional<ByteRange> range,
                   TransferSink& sink) override;
  void Resume(TransferId id) override;
  void Cancel(TransferId id) override;

 private:
  void Run(const std::stop_token& stop);
  void RunTasks();
  void Wait();
  size_t Choose(const std::string& host) REQUIRES(strand_);
  CurlLoop& LoopOf(TransferId id) REQUIRES(strand_) {
    size_t loop = id % kIdsPerSerial;
    return loop < loops_.size() ? *loops_[loop] : main_;  // an unknown id: unknown there too
  }
  /// False if there is no memory for another.
  bool BeginAnother() REQUIRES(strand_);

  CurlLoop::Settings settings_;
  const LoopLimits limits_;
  TaskQueue tasks_;
  Strand strand_;
  FileLoop files_{strand_};
  CurlLoop main_;
  TransferId next_serial_ GUARDED_BY(strand_) = 1;
  bool ending_ GUARDED_BY(strand_) = false;
  std::vector<std::unique_ptr<CurlLoop>> further_ GUARDED_BY(strand_);
  std::vector<CurlLoop*> loops_ GUARDED_BY(strand_);  ///< the main one and the further ones
  std::vector<std::jthread> threads_ GUARDED_BY(strand_);
};

LoopLimits LimitsOf(const TransportOptions& options) {
  size_t most = options.max_loops > 0 ? static_cast<size_t>(std::min(options.max_loops, kMostLoops))
                                      : AutomaticLoops(std::thread::hardware_concurrency());
  return {.most = most, .busy_part = options.busy_part};
}

LoopTransport::LoopTransport(const TransportOptions& options, CurlMulti multi)
    : settings_{.curl = {.connect_timeout = options.connect_timeout,
                         .ca_file = options.ca_file,
                         .policy = PolicyOrDefault(options.policy)},
                .stall_timeout = options.stall_timeout,
                .max_connections = options.max_connections},
      limits_(LimitsOf(options)),
      main_(settings_, strand_, std::move(multi)) {
  MutexLock lock(strand_);
  loops_.push_back(&main_);
  threads_.push_back(StartThread(
      "transfers", [this](const std::stop_token& stop) { Run(stop); }, Scheduling::kBatch));
}

LoopTransport::~LoopTransport() {
  std::vector<std::jthread> threads;
  {
    MutexLock lock(strand_);
    ending_ = true;
    threads = std::move(threads_);
    for (std::jthread& thread : threads) thread.request_stop();
    for (CurlLoop* loop : loops_) loop->Wake();
  }
  // Not under the strand, which they need for what they are just doing.
  for (std::jthread& thread : threads) thread.join();
  tasks_.Close();
}

void LoopTransport::PostAfter(milliseconds delay, std::function<void()> task) {
  if (tasks_.Add(steady_clock::now() + delay, std::move(task))) main_.Wake();
}

TransferId LoopTransport::Start(const FileLocation& location, std::optional<ByteRange> range,
                                TransferSink& sink) {
  strand_.AssertHeld();
  TransferId serial = next_serial_++ * kIdsPerSerial;
  if (location.url.starts_with("file://")) {
    files_.Start(std::make_unique<FileTransfer>(serial, location.url, range, strand_, sink));
    main_.Wake();
    return serial;
  }
  size_t loop = Choose(HttpTransfer::HostOf(location.url));
  TransferId id = serial + loop;
  loops_[loop]->Start(std::make_unique<HttpTransfer>(id, location, range, strand_, sink));
  return id;
}

void LoopTransport::Resume(TransferId id) {
  strand_.AssertHeld();
  files_.Resume(id);
  LoopOf(id).Resume(id);
}

void LoopTransport::Cancel(TransferId id) {
  strand_.AssertHeld();
  files_.Cancel(id);
  LoopOf(id).Cancel(id);
}

size_t LoopTransport::Choose(const std::string& host) {
  if (limits_.most == 1) return 0;
  steady_clock::time_point now = steady_clock::now();
  std::vector<LoopLoad> loads;
  loads.reserve(loops_.size() + 1);
  for (const CurlLoop* loop : loops_) loads.push_back(loop->LoadFor(host, now));
  size_t chosen = ChooseLoop(loads, limits_);
  if (chosen < loops_.size() || BeginAnother()) return chosen;
  return ChooseLoop(loads, {.most = loads.size(), .busy_part = limits_.busy_part});
}

bool LoopTransport::BeginAnother() {
  if (ending_) return false;
  Result<CurlMulti> multi = NewCurlMulti();
  if (!multi) return false;
  further_.push_back(std::make_unique<CurlLoop>(settings_, strand_, std::move(multi).value()));
  CurlLoop* loop = further_.back().get();
  threads_.push_back(StartThread(
      fmt::format("transfers-{}", loops_.size()),
      [loop](const std::stop_token& stop) { loop->Run(stop); }, Scheduling::kBatch));
  loops_.push_back(loop);
  spdlog::debug("transfers: {} loops of at most {}", loops_.size(), limits_.most);
  return true;
}

void LoopTransport::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    RunTasks();
    main_.Turn();
    files_.Turn();
    Wait();
  }
}

void LoopTransport::RunTasks() {
  for (std::function<void()>& task : tasks_.TakeDue(steady_clock::now())) {
    MutexLock lock(strand_);
    task();
    task = nullptr;  // what it holds may end before the next task runs
  }
}

void LoopTransport::Wait() {
  if (files_.Busy()) return;
  milliseconds longest(60000);
  if (auto due = tasks_.NextDue()) {
    auto until_due = std::chrono::ceil<milliseconds>(*due - steady_clock::now());
    longest = std::clamp(until_due, milliseconds(0), longest);
  }
  main_.Wait(longest);
}

}  // namespace

Result<std::unique_ptr<Transport>> CreateTransport(TransportOptions options) {
  options.ca_file = AuthoritiesFile(options.ca_file);
  TRY(CheckCurlOptions({.ca_file = options.ca_file}));
  CurlMulti multi = TRY(NewCurlMulti());
  std::unique_ptr<Transport> transport = std::make_unique<LoopTransport>(options, std::move(multi));
  return transport;
}

}  // namespace weighhouse::source
