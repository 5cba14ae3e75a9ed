#include "cache-daemon/io/ring.h"

#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/thread.h"

namespace weighhouse::io {
namespace {

/// The length field of a submission has 32 bits, and write(2) takes less than 2 GiB at once anyway.
constexpr size_t kMaxSize = size_t{1} << 30;

/// user_data of the poll on the eventfd; the others are indices of slots.
constexpr uint64_t kWakeUp = ~uint64_t{0};

std::optional<RingRefusal> Refused(std::string step, int result) {
  if (result >= 0) return std::nullopt;
  return RingRefusal{.step = std::move(step), .error_number = -result};
}

/// Best first. One issuer and deferred task work (6.1) let the kernel complete writes without
/// interrupting the thread; COOP_TASKRUN (5.19) does half of it; older kernels call the unknown
/// flag EINVAL.
int SetUp(io_uring& ring, RingEngine::Setup setup) {
  constexpr std::array<unsigned, 3> kFlags = {
      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0};
  int result = -EINVAL;
  for (unsigned flags : kFlags) {
    if (setup == RingEngine::Setup::kPlain && flags != 0) continue;
    result = io_uring_queue_init(RingEngine::kEntries, &ring, flags);
    if (result != -EINVAL) break;
  }
  return result;
}

/// One write to a memfd through `ring`, all the way to its completion.
std::optional<RingRefusal> TryWrite(io_uring& ring) {
  UniqueFd file(::memfd_create("weighhouse-ring-trial", MFD_CLOEXEC));
  if (!file) return RingRefusal{.step = "memfd_create", .error_number = errno};
  constexpr std::string_view kText = "trial";
  io_uring_sqe* entry = io_uring_get_sqe(&ring);
  io_uring_prep_write(entry, file.get(), kText.data(), kText.size(), 0);
  int submitted = io_uring_submit_and_wait(&ring, 1);
  while (submitted == -EINTR) submitted = io_uring_submit_and_wait(&ring, 1);
  if (auto refused = Refused("io_uring_enter", submitted)) return refused;
  io_uring_cqe* completion = nullptr;
  if (auto refused = Refused("io_uring_enter", io_uring_peek_cqe(&ring, &completion)))
    return refused;
  int written = completion->res;
  io_uring_cqe_seen(&ring, completion);
  if (written >= 0 && written != static_cast<int>(kText.size())) written = -EIO;
  return Refused("write", written);
}

}  // namespace

/// The ring and the operations that are with the kernel. Lives and dies on the ring thread.
class RingEngine::Loop {
 public:
  explicit Loop(RingEngine& engine) : engine_(engine) {}
  ~Loop() {
    if (ready_) io_uring_queue_exit(&ring_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  std::optional<RingRefusal> Start(Setup setup) {
    if (auto refused = Refused("io_uring_setup", SetUp(ring_, setup))) return refused;
    ready_ = true;
    for (size_t i = 0; i < kEntries - 1; ++i)
      free_slots_.push_back(i);  // one entry is the wake-up's
    return TryWrite(ring_);
  }

  /// Until the engine stops and the last operation is done.
  void Run() {
    while (true) {
      Arrivals arrivals = engine_.TakeArrivals();
      std::ranges::move(arrivals.operations, std::back_inserter(backlog_));
      if (arrivals.stopping && backlog_.empty() && in_flight_ == 0) return;
      while (!backlog_.empty() && !free_slots_.empty()) Begin();
      if (arrivals.stopping && in_flight_ == 0)
        continue;  // they were empty: nothing would end the wait
      ArmWakeUp();
      SubmitAndWait();
      Reap();
    }
  }

 private:
  /// Gives the oldest waiting operation to a slot.
  void Begin() {
    PendingOperation operation = std::move(backlog_.front());
    backlog_.pop_front();
    if (operation.left() == 0) return operation.Finish(0);
    size_t slot = free_slots_.back();
    free_slots_.pop_back();
    slots_[slot] = std::move(operation);
    ++in_flight_;
    Submit(slot);
  }

  void Submit(size_t slot) {
    const PendingOperation& operation = slots_[slot];
    io_uring_sqe* entry = NextEntry();
    auto size = static_cast<unsigned>(std::min(operation.left(), kMaxSize));
    if (operation.kind == PendingOperation::Kind::kRead) {
      io_uring_prep_read(entry, operation.fd, operation.space.data(), size, operation.offset);
    } else {
      io_uring_prep_write(entry, operation.fd, operation.data.data(), size, operation.offset);
    }
    // What couldn't be taken without waiting is given to a kernel thread that may wait, or it would
    // be refused again.
    if (operation.attempts > 0) entry->flags |= IOSQE_ASYNC;
    io_uring_sqe_set_data64(entry, slot);
  }

  void ArmWakeUp() {
    if (wake_up_armed_) return;
    io_uring_sqe* entry = NextEntry();
    io_uring_prep_poll_add(entry, engine_.wake_.get(), POLLIN);
    io_uring_sqe_set_data64(entry, kWakeUp);
    wake_up_armed_ = true;
  }

  /// Never null: there are as many entries as slots and the wake-up together, and each has one at
  /// most.
  io_uring_sqe* NextEntry() {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    CHECK(entry != nullptr);
    return entry;
  }

  void SubmitAndWait() {
    int result = io_uring_submit_and_wait(&ring_, 1);
    if (result >= 0 || result == -EINTR) return;
    // The kernel has no memory for requests right now (io_uring_enter(2)): what isn't submitted
    // stays in the queue.
    CHECK(result == -EAGAIN || result == -EBUSY);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void Reap() {
    io_uring_cqe* completion = nullptr;
    while (io_uring_peek_cqe(&ring_, &completion) == 0) {
      uint64_t data = completion->user_data;
      int result = completion->res;
      io_uring_cqe_seen(&ring_, completion);
      if (data == kWakeUp) {
        DrainWakeUp();
      } else {
        Complete(data, result);
      }
    }
  }

  void DrainWakeUp() {
    wake_up_armed_ = false;
    eventfd_t signals = 0;
    ::eventfd_read(engine_.wake_.get(), &signals);  // non-blocking; only its readiness matters
  }

  /// Ends a slot's operation, or continues it where it was short or the kernel couldn't take it.
  void Complete(size_t slot, int result) {
    PendingOperation& operation = slots_[slot];
    if (result > 0) {
      operation.Advance(static_cast<size_t>(result));
      if (operation.left() > 0) return Submit(slot);
    }
    bool again = result == -EINTR || result == -EAGAIN;
    if (again && ++operation.attempts <= PendingOperation::kMaxAttempts) return Submit(slot);
    PendingOperation ended = std::move(operation);
    free_slots_.push_back(slot);
    --in_flight_;
    if (result == 0) result = -EIO;  // a read past the end, or a write that would spin for ever
    ended.Finish(result > 0 ? 0 : -result);
  }

  RingEngine& engine_;
  io_uring ring_{};
  bool ready_ = false;
  bool wake_up_armed_ = false;
  size_t in_flight_ = 0;
  std::array<PendingOperation, kEntries - 1> slots_;
  std::vector<size_t> free_slots_;
  std::deque<PendingOperation> backlog_;
};

std::expected<std::unique_ptr<RingEngine>, RingRefusal> RingEngine::Create(Setup setup) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return std::unexpected(RingRefusal{.step = "eventfd", .error_number = errno});
  std::unique_ptr<RingEngine> engine(new RingEngine(std::move(wake)));
  // Shared, because set_value may still be at work when the waiter has its answer.
  auto started = std::make_shared<std::promise<std::optional<RingRefusal>>>();
  std::future<std::optional<RingRefusal>> refusal = started->get_future();
  // The ring is made on the thread that uses it: IORING_SETUP_SINGLE_ISSUER binds it to its maker.
  auto run = [&engine = *engine, setup, started](const auto&) {
    Loop loop(engine);
    std::optional<RingRefusal> refused = loop.Start(setup);
    bool running = !refused;
    started->set_value(std::move(refused));
    if (running) loop.Run();
  };
  engine->thread_ = StartThread("ring", std::move(run), Scheduling::kBatch);
  if (std::optional<RingRefusal> refused = refusal.get()) return std::unexpected(*refused);
  return engine;
}

RingEngine::~RingEngine() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  Wake();
}

void RingEngine::Write(int fd, uint64_t offset, std::span<const std::byte> data, Done done) {
  Add({.kind = PendingOperation::Kind::kWrite,
       .fd = fd,
       .offset = offset,
       .data = data,
       .done = std::move(done)});
}

void RingEngine::Read(int fd, uint64_t offset, std::span<std::byte> space, Done done) {
  Add({.kind = PendingOperation::Kind::kRead,
       .fd = fd,
       .offset = offset,
       .space = space,
       .done = std::move(done)});
}

void RingEngine::Add(PendingOperation operation) {
  bool was_empty = false;
  {
    MutexLock lock(mutex_);
    was_empty = queue_.empty();
    queue_.push_back(std::move(operation));
  }
  if (was_empty) Wake();  // else whoever filled it has called, or is about to
}

RingEngine::Arrivals RingEngine::TakeArrivals() {
  MutexLock lock(mutex_);
  return Arrivals{.operations = std::exchange(queue_, {}), .stopping = stopping_};
}

void RingEngine::Wake() { ::eventfd_write(wake_.get(), 1); }

}  // namespace weighhouse::io
