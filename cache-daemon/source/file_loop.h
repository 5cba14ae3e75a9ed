#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "cache-daemon/source/file_transfer.h"
#include "cache-daemon/source/strand.h"
#include "cache-daemon/source/transfer_inbox.h"

namespace weighhouse::source {

/// The transfers from local files. A thread belongs to it, which calls Turn.
class FileLoop {
 public:
  explicit FileLoop(Strand& strand) : strand_(strand) {}

  // On the strand.
  void Start(std::unique_ptr<FileTransfer> transfer) {
    strand_.AssertHeld();
    inbox_.Start(std::move(transfer));
  }
  void Resume(TransferId id) {
    strand_.AssertHeld();
    inbox_.Resume(id);
  }
  void Cancel(TransferId id) {
    strand_.AssertHeld();
    inbox_.Cancel(id);
  }

  // On its thread.
  /// Does what was asked for, then reads a piece of each file.
  void Turn();
  /// Whether another turn has something to do by now.
  bool Busy();

 private:
  void ApplyRequests();

  Strand& strand_;
  TransferInbox<FileTransfer> inbox_ GUARDED_BY(strand_);

  // Owned by its thread.
  std::map<TransferId, std::unique_ptr<FileTransfer>> transfers_;
  std::vector<std::byte> buffer_;
};

}  // namespace weighhouse::source
