#include "test/cache-daemon/engine/engine_fixture.h"

#include <algorithm>

#include "test/support/loopback_policy.h"

namespace weighhouse {
namespace {

constexpr std::chrono::minutes kPatience{3};

}  // namespace

void RecordingObserver::OnResolving() {}

void RecordingObserver::OnFilling(const std::string&, const std::string&,
                                  const fill::FillProgress& progress) {
  MutexLock lock(mutex_);
  progress_ = progress;
  changed_.NotifyAll();
}

void RecordingObserver::OnDone(const Result<AcquiredTree>& outcome) {
  MutexLock lock(mutex_);
  EXPECT_FALSE(outcome_) << "done twice";
  outcome_ = outcome;
  changed_.NotifyAll();
}

Result<AcquiredTree> RecordingObserver::Wait() {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  MutexLock lock(mutex_);
  while (!outcome_) {
    if (!changed_.WaitUntil(lock, deadline))
      return Fail(Code::kDeadlineExceeded, "the test waited too long");
  }
  return *outcome_;
}

void RecordingObserver::WaitForFilling() {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  MutexLock lock(mutex_);
  while (!progress_ && !outcome_) {
    if (!changed_.WaitUntil(lock, deadline)) break;
  }
  EXPECT_TRUE(progress_) << "the fill never began";
}

std::optional<fill::FillProgress> RecordingObserver::last_progress() {
  MutexLock lock(mutex_);
  return progress_;
}

void EngineTest::StartHub(std::vector<std::string> arguments) {
  auto hub = FixtureHub::Start(models_.string(), std::move(arguments));
  ASSERT_TRUE(hub) << hub.error().message;
  hub_ = std::move(*hub);
  hub_url_ = hub_->hub_url();
}

EngineOptions EngineTest::Options() const {
  EngineOptions options;
  options.store.root = root_;
  options.fill.backoff_start = std::chrono::milliseconds(10);
  options.fill.backoff_limit = std::chrono::milliseconds(40);
  options.fill.range_size = 4 * kMiB;
  options.transport.stall_timeout = std::chrono::milliseconds(700);
  options.hub_endpoint = hub_url_;
  options.allow_addresses = LoopbackAddresses();
  options.local_roots = {directory_.path().string()};
  return options;
}

void EngineTest::OpenEngine(const EngineOptions& options) {
  engine_.reset();
  auto engine = Engine::Open(options);
  ASSERT_TRUE(engine) << engine.error().message;
  engine_ = std::move(*engine);
}

AcquireRequest EngineTest::Request(const std::string& model, const std::string& token) {
  auto reference = ModelReference::Parse(model);
  EXPECT_TRUE(reference) << reference.error().message;
  AcquireRequest request{.model = *reference};
  if (!token.empty()) request.credentials.values["HF_TOKEN"] = token;
  return request;
}

AcquireRequest EngineTest::LeasedRequest(const std::string& model, const std::string& name,
                                         const std::string& token) {
  AcquireRequest request = Request(model, token);
  request.holder = {.volume_id = "csi-" + name,
                    .target_path = "/pods/" + name + "/mount",
                    .pod_namespace = "default",
                    .pod_name = name,
                    .pod_uid = "uid-" + name};
  request.lease_id = Digest::Of(request.holder.target_path).Hex();
  return request;
}

Result<AcquiredTree> EngineTest::Acquire(AcquireRequest request) {
  auto observer = std::make_shared<RecordingObserver>();
  engine_->Acquire(std::move(request), observer);
  return observer->Wait();
}

std::vector<std::string> EngineTest::Names(const std::string& directory) const {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(root_) / directory, missing)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace weighhouse
