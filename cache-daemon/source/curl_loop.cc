#include "cache-daemon/source/curl_loop.h"

#include <algorithm>
#include <utility>

namespace weighhouse::source {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// How often stalls are looked for.
constexpr milliseconds kStallCheck{100};

thread_local const CurlLoop* loop_of_this_thread = nullptr;

}  // namespace

CurlLoop::CurlLoop(const Settings& settings, Strand& strand, CurlMulti multi)
    : settings_(settings), strand_(strand), multi_(std::move(multi)), load_(steady_clock::now()) {
  ApplySettings();
  curl_multi_setopt(multi_.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
}

CurlLoop::~CurlLoop() {
  MutexLock lock(strand_);
  for (auto& [id, transfer] : transfers_) {
    transfer->Silence();
    if (transfer->easy() != nullptr) curl_multi_remove_handle(multi_.get(), transfer->easy());
  }
}

void CurlLoop::Start(std::unique_ptr<HttpTransfer> transfer) {
  strand_.AssertHeld();
  auto idle = idle_connections_.find(transfer->host());
  if (idle != idle_connections_.end() && --idle->second == 0) idle_connections_.erase(idle);
  inbox_.Start(std::move(transfer));
  Wake();
}

void CurlLoop::Resume(TransferId id) {
  strand_.AssertHeld();
  inbox_.Resume(id);
  Wake();
}

void CurlLoop::Cancel(TransferId id) {
  strand_.AssertHeld();
  inbox_.Cancel(id);
  Wake();
}

LoopLoad CurlLoop::LoadFor(const std::string& host, Time now) const {
  strand_.AssertHeld();
  return {.busy = load_.Busy(now),
          .transfers = inbox_.live(),
          .keeps_connection = idle_connections_.contains(host)};
}

void CurlLoop::Wake() {
  if (loop_of_this_thread != this) curl_multi_wakeup(multi_.get());
}

void CurlLoop::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Turn();
    Wait(milliseconds(60000));
  }
}

void CurlLoop::Turn() {
  loop_of_this_thread = this;
  ApplySettings();
  ApplyRequests();
  Perform();
  EndStalled();
}

void CurlLoop::ApplySettings() {
  int most = settings_.max_connections.load(std::memory_order_relaxed);
  if (most == max_connections_) return;
  max_connections_ = most;
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(most));
}

void CurlLoop::ApplyRequests() {
  TransferInbox<HttpTransfer>::Requests requests;
  {
    MutexLock lock(strand_);
    if (inbox_.empty()) return;
    requests = inbox_.Take();
  }
  // Each may lead to more of them: those are for the next turn.
  std::vector<TransferId> starts;
  starts.reserve(requests.starts.size());
  for (std::unique_ptr<HttpTransfer>& transfer : requests.starts) {
    TransferId id = transfer->id();
    starts.push_back(id);
    transfers_.emplace(id, std::move(transfer));
  }
  for (TransferId id : requests.cancels) Remove(id);
  for (TransferId id : starts) Begin(id);
  for (TransferId id : requests.resumes) ResumeNow(id);
}

void CurlLoop::Begin(TransferId id) {
  auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  Result<> usable = found->second->CheckUrl(*settings_.curl.policy);
  if (!usable || found->second->empty()) return End(id, {.status = std::move(usable)});
  CurlEasy easy;
  if (!idle_handles_.empty()) {
    easy = std::move(idle_handles_.back());
    idle_handles_.pop_back();
  } else if (Result<CurlEasy> made = NewCurlEasy()) {
    easy = std::move(made).value();
  } else {
    return End(id, {.status = std::unexpected(std::move(made).error())});
  }
  HttpTransfer& transfer = *found->second;
  transfer.Begin(std::move(easy), settings_.curl, steady_clock::now());
  if (curl_multi_add_handle(multi_.get(), transfer.easy()) != CURLM_OK) {
    End(id, transfer.Outcome(CURLE_OUT_OF_MEMORY));
  }
}

void CurlLoop::ResumeNow(TransferId id) {
  auto found = transfers_.find(id);
  if (found == transfers_.end() || found->second->easy() == nullptr) return;
  found->second->Resume(steady_clock::now());
  // libcurl doesn't end a transfer whose callback failed while it was being resumed.
  if (found->second->broken()) End(id, found->second->Outcome(CURLE_WRITE_ERROR));
}

void CurlLoop::Perform() {
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
  for (auto [transfer, code] : ended) End(transfer->id(), transfer->Outcome(code));
}

void CurlLoop::EndStalled() {
  Time now = steady_clock::now();
  if (transfers_.empty() || now < next_stall_check_) return;
  next_stall_check_ = now + kStallCheck;
  milliseconds patience = settings_.stall_timeout.load(std::memory_order_relaxed);
  std::vector<TransferId> stalled;
  for (const auto& [id, transfer] : transfers_) {
    bool begun = transfer->easy() != nullptr;
    if (!begun || transfer->paused()) continue;
    if (now - transfer->last_activity() >= patience) stalled.push_back(id);
  }
  for (TransferId id : stalled) End(id, transfers_[id]->Stalled(patience));
}

void CurlLoop::Wait(milliseconds longest) {
  {
    // What is asked for after this wakes us.
    MutexLock lock(strand_);
    if (!inbox_.empty()) return;
  }
  if (!transfers_.empty()) longest = std::min(longest, kStallCheck);
  load_.BeginWait(steady_clock::now());
  curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(longest.count()), nullptr);
  load_.EndWait(steady_clock::now());
}

std::unique_ptr<HttpTransfer> CurlLoop::Remove(TransferId id) {
  auto node = transfers_.extract(id);
  if (node.empty()) return nullptr;
  std::unique_ptr<HttpTransfer> transfer = std::move(node.mapped());
  if (transfer->easy() == nullptr) return transfer;
  curl_multi_remove_handle(multi_.get(), transfer->easy());
  CurlEasy easy = transfer->TakeEasy();
  if (idle_handles_.size() < static_cast<size_t>(max_connections_)) {
    idle_handles_.push_back(std::move(easy));
  }
  return transfer;
}

void CurlLoop::End(TransferId id, const TransferEnd& end) {
  std::unique_ptr<HttpTransfer> transfer = Remove(id);
  if (!transfer) return;
  MutexLock lock(strand_);
  if (end.status && end.http_status != 0) ++idle_connections_[transfer->host()];
  // More hosts than connections: most of what it says is past.
  if (idle_connections_.size() > static_cast<size_t>(max_connections_)) {
    idle_connections_.clear();
  }
  if (inbox_.End(id)) transfer->sink().OnEnd(end);
}

}  // namespace weighhouse::source
