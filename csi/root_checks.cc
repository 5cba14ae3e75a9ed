#include "csi/root_checks.h"

#include <atomic>
#include <utility>

namespace weighhouse::csi {
namespace {

using std::chrono::milliseconds;

/// Who has less time asks alone: a shared answer may be the second after the question, and the
/// client waits some seconds (its patience) for each where the daemon is away.
constexpr milliseconds kTimeForTwo{10'000};

/// One that waits for the shared answer.
class Waiter final : public DaemonCall, public std::enable_shared_from_this<Waiter> {
 public:
  Waiter(SharedAnswer<>& shared, WorkerPool& workers, RootChecks::Done done)
      : shared_(shared), workers_(workers), done_(std::move(done)) {}
  void Start() override {
    shared_.Ask([self = shared_from_this()](const Result<>& answer) { self->End(answer); });
  }
  /// The others go on waiting.
  void Cancel() override {
    workers_.Post([self = shared_from_this()] { self->End(Fail(Code::kCancelled, "cancelled")); });
  }

 private:
  void End(const Result<>& answer) {
    if (!ended_.exchange(true)) done_(answer);
  }
  SharedAnswer<>& shared_;
  WorkerPool& workers_;
  const RootChecks::Done done_;
  std::atomic<bool> ended_ = false;
};

}  // namespace

RootChecks::RootChecks(const VolumeDisk& disk, DaemonClient& daemon, WorkerPool& workers)
    : disk_(disk),
      daemon_(daemon),
      workers_(workers),
      shared_(workers, [this](const Done& done) { AskForAll(done); }) {}

void RootChecks::AskForAll(const Done& done) {
  auto answered = [this, done](const Result<cache::v1::InfoResponse>& info) {
    Compare(info, done);
    MutexLock lock(mutex_);
    --pending_;
    changed_.NotifyAll();  // under the lock: who waits destroys this
  };
  std::shared_ptr<DaemonCall> call = daemon_.Info(kTimeForTwo, answered);
  {
    MutexLock lock(mutex_);
    if (stopped_) return;  // nobody waits
    ++pending_;
    last_call_ = call;
  }
  call->Start();
}

void RootChecks::Stop() {
  std::shared_ptr<DaemonCall> call;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    call = last_call_;
  }
  if (call) call->Cancel();
  MutexLock lock(mutex_);
  while (pending_ > 0) changed_.Wait(lock);
}

std::shared_ptr<DaemonCall> RootChecks::Check(milliseconds timeout, Done done) {
  if (timeout >= kTimeForTwo) {
    return std::make_shared<Waiter>(shared_, workers_, std::move(done));
  }
  return daemon_.Info(timeout,
                      [this, done = std::move(done)](const Result<cache::v1::InfoResponse>& info) {
                        Compare(info, done);
                      });
}

void RootChecks::Compare(const Result<cache::v1::InfoResponse>& info, const Done& done) {
  if (!info) return workers_.Post([done, error = info.error()] { done(std::unexpected(error)); });
  DaemonRoot root{
      .device = info->root_device(), .inode = info->root_inode(), .id = info->root_id()};
  workers_.Post([this, done, root] { done(disk_.CheckCacheRoot(root)); });
}

}  // namespace weighhouse::csi
