#include "cache-daemon/store/record_scan.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "cache-daemon/store/record_file.h"

namespace weighhouse::store {
namespace {

/// Fewer are read in the time that a thread takes to start, and in a known order.
constexpr size_t kWorthThreads = 64;
/// Parsing is what takes the time, so not more than there are cores; nor all of many.
constexpr size_t kMostThreads = 4;

}  // namespace

RecordScan::RecordScan(io::Filesystem& filesystem, const RootLayout& layout,
                       std::vector<std::string> ids)
    : filesystem_(filesystem), layout_(layout), ids_(std::move(ids)) {
  records_.resize(ids_.size(), Fail(Code::kInternal, "not read"));
  if (ids_.size() < kWorthThreads) return;
  size_t threads = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMostThreads);
  for (size_t i = 0; i < threads; ++i) {
    threads_.push_back(StartThread(fmt::format("records-{}", i), [this](const auto&) { Run(); }));
  }
}

RecordScan::~RecordScan() { next_ = ids_.size(); }

std::vector<Result<SnapshotRecord>> RecordScan::Finish() {
  Run();
  threads_.clear();
  return std::move(records_);
}

void RecordScan::Run() {
  for (size_t i = next_++; i < ids_.size(); i = next_++) {
    records_[i] = ReadSnapshotRecord(filesystem_, layout_, ids_[i]);
  }
}

}  // namespace weighhouse::store
