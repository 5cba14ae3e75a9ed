#include <algorithm>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "base/thread.h"
#include "cache-daemon/source/file_transfer.h"
#include "cache-daemon/source/http_transfer.h"
#include "cache-daemon/source/task_queue.h"
#include "cache-daemon/source/transport.h"

namespace weighhouse::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Time = steady_clock::time_point;

/// A local file's turn: large enough to hide the system call, small enough that sockets aren't kept
/// waiting.
constexpr size_t kFilePiece = 256 * kKiB;
/// How often stalls are looked for.
constexpr milliseconds kStallCheck{100};

/// The loop. Transfers are begun, resumed, cancelled and ended between two turns of libcurl only:
/// it forbids most calls from within its callbacks, and sinks call us from there.
class LoopTransport final : public Transport {
 public:
  LoopTransport(TransportOptions options, CurlMulti multi);
  ~LoopTransport() override;

  void Post(std::function<void()> task) override { PostAfter(milliseconds(0), std::move(task)); }
  void PostAfter(milliseconds delay, std::function<void()> task) override;
  TransferId Start(const FileLocation& location, std::optional<ByteRange> range,
                   TransferSink& sink) override;
  void Resume(TransferId id) override { resumes_.push_back(id); }
  void Cancel(TransferId id) override;

 private:
  void Run(const std::stop_token& stop);
  void RunTasks();
  void ApplyRequests();
  void BeginHttp(TransferId id);
  void ResumeTransfer(TransferId id);
  void Perform();
  void ServeFiles();
  void EndStalled();
  void Wait();
  bool BusyWithFiles() const;
  /// Takes the transfer from libcurl and keeps its handle for the next.
  std::unique_ptr<HttpTransfer> Remove(TransferId id);
  void EndHttp(TransferId id, const TransferEnd& end);

  const TransportOptions options_;
  const CurlOptions curl_options_;
  TaskQueue tasks_;
  CurlMulti multi_;

  // Owned by the loop thread, until it has ended.
  TransferId next_id_ = 1;
  std::map<TransferId, std::unique_ptr<HttpTransfer>> http_;
  std::map<TransferId, std::unique_ptr<FileTransfer>> files_;
  std::vector<TransferId> starts_, resumes_, cancels_;
  std::vector<CurlEasy> idle_handles_;
  std::vector<std::byte> file_buffer_;
  Time next_stall_check_{};

  std::jthread thread_;
};

LoopTransport::LoopTransport(TransportOptions options, CurlMulti multi)
    : options_(std::move(options)),
      curl_options_{.connect_timeout = options_.connect_timeout, .ca_file = options_.ca_file},
      multi_(std::move(multi)) {
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS,
                    static_cast<long>(options_.max_connections));
  curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  thread_ = StartThread("transfers", [this](const std::stop_token& stop) { Run(stop); });
}

LoopTransport::~LoopTransport() {
  thread_.request_stop();
  curl_multi_wakeup(multi_.get());
  thread_.join();
  tasks_.Close();
  for (auto& [id, transfer] : http_) {
    transfer->Silence();
    if (transfer->easy() != nullptr) curl_multi_remove_handle(multi_.get(), transfer->easy());
  }
}

void LoopTransport::PostAfter(milliseconds delay, std::function<void()> task) {
  if (tasks_.Add(steady_clock::now() + delay, std::move(task))) curl_multi_wakeup(multi_.get());
}

TransferId LoopTransport::Start(const FileLocation& location, std::optional<ByteRange> range,
                                TransferSink& sink) {
  TransferId id = next_id_++;
  if (location.url.starts_with("file://")) {
    files_[id] = std::make_unique<FileTransfer>(id, location.url, range, sink);
  } else {
    http_[id] = std::make_unique<HttpTransfer>(id, location, range, sink);
    starts_.push_back(id);
  }
  return id;
}

void LoopTransport::Cancel(TransferId id) {
  if (auto found = http_.find(id); found != http_.end()) found->second->Silence();
  cancels_.push_back(id);
}

void LoopTransport::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    RunTasks();
    ApplyRequests();
    Perform();
    ServeFiles();
    EndStalled();
    Wait();
  }
}

void LoopTransport::RunTasks() {
  for (std::function<void()>& task : tasks_.TakeDue(steady_clock::now())) {
    task();
    task = nullptr;  // what it holds may end before the next task runs
  }
}

void LoopTransport::ApplyRequests() {
  // Each may lead to more of them: those are for the next turn.
  std::vector<TransferId> cancels = std::exchange(cancels_, {});
  for (TransferId id : cancels) {
    Remove(id);
    files_.erase(id);
  }
  std::vector<TransferId> starts = std::exchange(starts_, {});
  for (TransferId id : starts) BeginHttp(id);
  std::vector<TransferId> resumes = std::exchange(resumes_, {});
  for (TransferId id : resumes) ResumeTransfer(id);
}

void LoopTransport::BeginHttp(TransferId id) {
  auto found = http_.find(id);
  if (found == http_.end() || found->second->silenced()) return;
  Result<> usable = found->second->CheckUrl();
  if (!usable || found->second->empty()) {
    EndHttp(id, {.status = std::move(usable)});
    return;
  }
  CurlEasy easy;
  if (!idle_handles_.empty()) {
    easy = std::move(idle_handles_.back());
    idle_handles_.pop_back();
  } else if (Result<CurlEasy> made = NewCurlEasy()) {
    easy = std::move(made).value();
  } else {
    EndHttp(id, {.status = std::unexpected(std::move(made).error())});
    return;
  }
  HttpTransfer& transfer = *found->second;
  transfer.Begin(std::move(easy), curl_options_, steady_clock::now());
  if (curl_multi_add_handle(multi_.get(), transfer.easy()) != CURLM_OK) {
    EndHttp(id, transfer.Outcome(CURLE_OUT_OF_MEMORY));
  }
}

void LoopTransport::ResumeTransfer(TransferId id) {
  if (auto file = files_.find(id); file != files_.end()) file->second->Resume();
  auto found = http_.find(id);
  if (found == http_.end() || found->second->silenced()) return;
  found->second->Resume(steady_clock::now());
  // libcurl doesn't end a transfer whose callback failed while it was being resumed.
  if (found->second->broken()) EndHttp(id, found->second->Outcome(CURLE_WRITE_ERROR));
}

void LoopTransport::Perform() {
  int running = 0;
  curl_multi_perform(multi_.get(), &running);
  std::vector<std::pair<HttpTransfer*, CURLcode>> ended;
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    HttpTransfer* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    ended.emplace_back(transfer, message->data.result);
  }
  // None of these can go before its turn: cancelled transfers stay until ApplyRequests.
  for (auto [transfer, code] : ended) EndHttp(transfer->id(), transfer->Outcome(code));
}

void LoopTransport::ServeFiles() {
  if (!BusyWithFiles()) return;
  file_buffer_.resize(kFilePiece);
  std::vector<TransferId> ids;  // a sink may start others meanwhile
  ids.reserve(files_.size());
  for (const auto& [id, transfer] : files_) ids.push_back(id);
  for (TransferId id : ids) {
    auto found = files_.find(id);
    bool cancelled = std::ranges::find(cancels_, id) != cancels_.end();
    if (found == files_.end() || cancelled || found->second->paused()) continue;
    if (found->second->Serve(file_buffer_) != FileTransfer::Turn::kEnded) continue;
    std::unique_ptr<FileTransfer> transfer = std::move(found->second);
    files_.erase(found);
    transfer->sink().OnEnd(transfer->Outcome());
  }
}

bool LoopTransport::BusyWithFiles() const {
  return std::ranges::any_of(files_, [](const auto& each) { return !each.second->paused(); });
}

void LoopTransport::EndStalled() {
  Time now = steady_clock::now();
  if (http_.empty() || now < next_stall_check_) return;
  next_stall_check_ = now + kStallCheck;
  std::vector<TransferId> stalled;
  for (const auto& [id, transfer] : http_) {
    bool begun = transfer->easy() != nullptr;
    if (!begun || transfer->paused() || transfer->silenced()) continue;
    if (now - transfer->last_activity() >= options_.stall_timeout) stalled.push_back(id);
  }
  for (TransferId id : stalled) EndHttp(id, http_[id]->Stalled(options_.stall_timeout));
}

void LoopTransport::Wait() {
  bool requests = !starts_.empty() || !resumes_.empty() || !cancels_.empty();
  if (requests || BusyWithFiles()) return;
  Time now = steady_clock::now();
  milliseconds longest = http_.empty() ? milliseconds(60000) : kStallCheck;
  if (auto due = tasks_.NextDue()) {
    longest = std::clamp(std::chrono::ceil<milliseconds>(*due - now), milliseconds(0), longest);
  }
  curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(longest.count()), nullptr);
}

std::unique_ptr<HttpTransfer> LoopTransport::Remove(TransferId id) {
  auto node = http_.extract(id);
  if (node.empty()) return nullptr;
  std::unique_ptr<HttpTransfer> transfer = std::move(node.mapped());
  if (transfer->easy() == nullptr) return transfer;
  curl_multi_remove_handle(multi_.get(), transfer->easy());
  CurlEasy easy = transfer->TakeEasy();
  if (idle_handles_.size() < static_cast<size_t>(options_.max_connections)) {
    idle_handles_.push_back(std::move(easy));
  }
  return transfer;
}

void LoopTransport::EndHttp(TransferId id, const TransferEnd& end) {
  std::unique_ptr<HttpTransfer> transfer = Remove(id);
  if (transfer && !transfer->silenced()) transfer->sink().OnEnd(end);
}

}  // namespace

Result<std::unique_ptr<Transport>> CreateTransport(TransportOptions options) {
  options.ca_file = AuthoritiesFile(options.ca_file);
  TRY(CheckCurlOptions({.ca_file = options.ca_file}));
  CurlMulti multi = TRY(NewCurlMulti());
  std::unique_ptr<Transport> transport =
      std::make_unique<LoopTransport>(std::move(options), std::move(multi));
  return transport;
}

}  // namespace weighhouse::source
