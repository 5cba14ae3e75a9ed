#include "cache-daemon/source/file_loop.h"

#include <algorithm>
#include <utility>

namespace weighhouse::source {
namespace {

/// A local file's turn: large enough to hide the system call, small enough that sockets aren't kept
/// waiting.
constexpr size_t kFilePiece = 256 * kKiB;

}  // namespace

void FileLoop::ApplyRequests() {
  MutexLock lock(strand_);
  if (inbox_.empty()) return;
  TransferInbox<FileTransfer>::Requests requests = inbox_.Take();
  for (std::unique_ptr<FileTransfer>& transfer : requests.starts) {
    TransferId id = transfer->id();
    transfers_.emplace(id, std::move(transfer));
  }
  for (TransferId id : requests.cancels) transfers_.erase(id);
  for (TransferId id : requests.resumes) {
    if (auto found = transfers_.find(id); found != transfers_.end()) found->second->Resume();
  }
}

void FileLoop::Turn() {
  ApplyRequests();
  if (transfers_.empty()) return;
  buffer_.resize(kFilePiece);
  for (auto each = transfers_.begin(); each != transfers_.end();) {
    auto current = each++;
    FileTransfer& transfer = *current->second;
    if (transfer.paused() || transfer.Serve(buffer_) != FileTransfer::Turn::kEnded) continue;
    std::unique_ptr<FileTransfer> ended = std::move(current->second);
    transfers_.erase(current);
    MutexLock lock(strand_);
    if (inbox_.End(ended->id())) ended->sink().OnEnd(ended->Outcome());
  }
}

bool FileLoop::Busy() {
  if (std::ranges::any_of(transfers_, [](const auto& each) { return !each.second->paused(); })) {
    return true;
  }
  MutexLock lock(strand_);
  return !inbox_.empty();
}

}  // namespace weighhouse::source
