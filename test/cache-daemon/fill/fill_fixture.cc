#include "test/cache-daemon/fill/fill_fixture.h"

namespace weighhouse::fill {

void FillTest::SetUp() {
  auto selection = io::SelectIoEngine(GetParam());
  if (!selection) GTEST_SKIP() << selection.error().message;
  engine_ = std::make_unique<ObservedEngine>(std::move(selection->engine));
}

Filler::Parts FillTest::Parts() {
  return {.transport = transport_,
          .io = *engine_,
          .buffers = *buffers_,
          .read_buffers = *read_buffers_,
          .store = store_,
          .clock = clock_};
}

void FillTest::MakeContext(size_t buffers, size_t max_files, size_t read_buffers,
                           Bytes most_at_risk) {
  StopContext();
  buffers_ = std::move(io::BufferPool::Create(buffers, kPiece).value());
  read_buffers_ = std::move(io::BufferPool::Create(read_buffers, kPiece).value());
  hashes_ = std::make_unique<HashQueue>(1);
  workers_ = std::make_unique<WorkerPool>("fill", 2);
  FillerOptions options{.max_active_files = max_files,
                        .range_size = 2 * kPiece,
                        .backoff_start = std::chrono::milliseconds(1),
                        .release_after = release_after_,
                        .most_at_risk = most_at_risk};
  context_ = std::make_shared<FillContext>(options, Parts());
  context_->active_files = max_files;
  context_->hashes = hashes_.get();
  context_->workers = workers_.get();
  context_->on_buffers_freed = [] {};
}

void FillTest::StopContext() {
  if (!context_) return;
  context_->stopped = true;
  workers_.reset();
  hashes_.reset();
  context_->disk_operations.WaitUntilIdle();
  transport_.RunTasks();
  context_.reset();
}

}  // namespace weighhouse::fill
