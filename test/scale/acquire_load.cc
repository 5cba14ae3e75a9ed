// scale-acquire SOCKET SNAPSHOTS CALLS CALLERS: CALLERS at once, through the plugin's own client,
// publish and release models of a root that scale-root made until CALLS Acquires have ended. Each
// takes a lease of its own. Prints one JSON object: how long the Acquires took.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/mutex.h"
#include "csi/daemon_client.h"
#include "test/scale/latencies.h"
#include "test/scale/scale_model.h"

namespace weighhouse::scale {
namespace {

using Clock = std::chrono::steady_clock;
namespace pb = cache::v1;

constexpr std::chrono::seconds kPatience{30};
// No divisor of a usual number of models: callers come round to all of them, in no order.
constexpr size_t kStride = 7919;

struct Amounts {
  size_t models = 0, calls = 0, callers = 0;
};

/// What the callers share. Thread-safe.
class Load {
 public:
  Load(csi::DaemonClient& client, Amounts amounts) : client_(client), amounts_(amounts) {}

  /// Runs to its end; an error is the first that a call met.
  Result<std::vector<Milliseconds>> Run() EXCLUDES(mutex_) {
    for (size_t caller = 0; caller < amounts_.callers; ++caller) Publish();
    MutexLock lock(mutex_);
    while (active_ > 0) changed_.Wait(lock);
    if (!failure_.has_value()) return std::unexpected(failure_.error());
    return took_;
  }

 private:
  void Publish() EXCLUDES(mutex_) {
    size_t number = 0;
    {
      MutexLock lock(mutex_);
      if (begun_ == amounts_.calls || !failure_) return;
      number = begun_++;
      ++active_;
    }
    pb::AcquireRequest request = RequestOf(number);
    std::string lease_id = request.lease_id();
    Clock::time_point begun = Clock::now();
    auto done = [this, lease_id, begun](const Result<pb::Ready>& ready) {
      Milliseconds took = Clock::now() - begun;
      if (!ready) return End(std::unexpected(ready.error()));
      {
        MutexLock lock(mutex_);
        took_.push_back(took);
      }
      Release(lease_id);
    };
    client_.Acquire(std::move(request), kPatience, [](const csi::Progress&) {}, done)->Start();
  }

  void Release(const std::string& lease_id) {
    auto done = [this](const Result<pb::ReleaseResponse>& released) {
      if (!released) return End(std::unexpected(released.error()));
      Publish();
      End({});
    };
    client_.Release(lease_id, kPatience, done)->Start();
  }

  void End(const Result<>& outcome) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (!outcome && failure_) failure_ = outcome;
    --active_;
    changed_.NotifyAll();  // under the lock: who waits destroys this
  }

  pb::AcquireRequest RequestOf(size_t number) const {
    std::string target = fmt::format("/var/lib/kubelet/pods/uid-{}/volumes/model/mount", number);
    pb::AcquireRequest request;
    request.set_lease_id(Digest::Of(target).Hex());
    request.mutable_holder()->set_volume_id(fmt::format("volume-{}", number));
    request.mutable_holder()->set_target_path(target);
    request.mutable_holder()->set_pod_namespace("scale");
    request.mutable_holder()->set_pod_name(fmt::format("pod-{}", number));
    request.mutable_holder()->set_pod_uid(fmt::format("uid-{}", number));
    request.mutable_model()->set_uri(ReferenceOf(number * kStride % amounts_.models));
    return request;
  }

  csi::DaemonClient& client_;
  const Amounts amounts_;
  Mutex mutex_;
  ConditionVariable changed_;
  size_t begun_ GUARDED_BY(mutex_) = 0;
  size_t active_ GUARDED_BY(mutex_) = 0;
  Result<> failure_ GUARDED_BY(mutex_);
  std::vector<Milliseconds> took_ GUARDED_BY(mutex_);
};

int Main(std::span<char*> arguments) {
  if (arguments.size() != 5) {
    std::fputs("usage: scale-acquire SOCKET SNAPSHOTS CALLS CALLERS\n", stderr);
    return 2;
  }
  auto number = [&](size_t position) -> size_t {
    return std::max<size_t>(1, std::strtoull(arguments[position], nullptr, 10));
  };
  csi::DaemonClient client(arguments[1], kPatience);
  Clock::time_point begun = Clock::now();
  Result<std::vector<Milliseconds>> took =
      Load(client, {.models = number(2), .calls = number(3), .callers = number(4)}).Run();
  if (!took) {
    std::fputs(fmt::format("scale-acquire: {}\n", took.error().message).c_str(), stderr);
    return 1;
  }
  double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  std::puts(
      fmt::format(R"({{"seconds": {:.3f}, {}}})", seconds, Summary(std::move(*took))).c_str());
  return 0;
}

}  // namespace
}  // namespace weighhouse::scale

int main(int argc, char** argv) {
  return weighhouse::scale::Main({argv, static_cast<size_t>(argc)});
}
