#include "test/csi/fake_daemon.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "test/support/callback_queue.h"

namespace weighhouse::csi {

FakeDaemon::FakeDaemon(std::string socket, std::string cache_root) : socket_(std::move(socket)) {
  KeepCallbackQueue();
  struct stat status{};
  CHECK(stat(cache_root.c_str(), &status) == 0);
  true_info_.set_root(cache_root);
  true_info_.set_root_device(status.st_dev);
  true_info_.set_root_inode(status.st_ino);
  true_info_.set_root_id("fake-root-id");
  SetInfo(true_info_);
  SetScript(Refuse(grpc::StatusCode::INTERNAL, "no script"));
}

void FakeDaemon::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket_, grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr);
}

void FakeDaemon::Stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

void FakeDaemon::SetScript(Script script) {
  MutexLock lock(mutex_);
  script_ = std::move(script);
}

void FakeDaemon::SetInfo(cache::v1::InfoResponse info) {
  MutexLock lock(mutex_);
  info_ = std::move(info);
}

void FakeDaemon::HoldInfos() {
  MutexLock lock(mutex_);
  infos_held_ = true;
}

void FakeDaemon::WaitForInfos(size_t count) {
  WaitFor([this]() NO_THREAD_SAFETY_ANALYSIS { return infos_; }, count);
}

std::vector<cache::v1::AcquireRequest> FakeDaemon::acquires() const {
  MutexLock lock(mutex_);
  return acquires_;
}

size_t FakeDaemon::infos() const {
  MutexLock lock(mutex_);
  return infos_;
}

std::vector<std::string> FakeDaemon::releases() const {
  MutexLock lock(mutex_);
  return releases_;
}

std::vector<cache::v1::SyncLeasesRequest> FakeDaemon::syncs() const {
  MutexLock lock(mutex_);
  return syncs_;
}

void FakeDaemon::WaitFor(const std::function<size_t()>& size, size_t count) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  MutexLock lock(mutex_);
  while (size() < count) CHECK(changed_.WaitUntil(lock, deadline) || size() >= count);
}

void FakeDaemon::WaitForAcquires(size_t count) {
  WaitFor([this]() NO_THREAD_SAFETY_ANALYSIS { return acquires_.size(); }, count);
}

void FakeDaemon::WaitForReleases(size_t count) {
  WaitFor([this]() NO_THREAD_SAFETY_ANALYSIS { return releases_.size(); }, count);
}

void FakeDaemon::WaitForCancelled(size_t count) {
  WaitFor([this]() NO_THREAD_SAFETY_ANALYSIS { return cancelled_; }, count);
}

FakeDaemon::Script FakeDaemon::Answer(const std::string& tree) {
  return [tree](const cache::v1::AcquireRequest&, Writer& writer, grpc::ServerContext&) {
    cache::v1::AcquireUpdate update;
    update.mutable_resolving();
    writer.Write(update);
    update.mutable_ready()->set_tree(tree);
    update.mutable_ready()->set_revision("main");
    update.mutable_ready()->set_bytes(4096);
    update.mutable_ready()->set_files(3);
    update.mutable_ready()->set_served_from("source");
    writer.Write(update);
    return grpc::Status::OK;
  };
}

FakeDaemon::Script FakeDaemon::Refuse(grpc::StatusCode code, const std::string& message) {
  return [code, message](const cache::v1::AcquireRequest&, Writer&, grpc::ServerContext&) {
    return grpc::Status(code, message);
  };
}

FakeDaemon::Script FakeDaemon::FillUntilOpened(const std::string& tree) {
  return [this, tree](const cache::v1::AcquireRequest& request, Writer& writer,
                      grpc::ServerContext& context) {
    cache::v1::AcquireUpdate update;
    update.mutable_filling()->set_bytes_total(4'294'967'296);
    update.mutable_filling()->set_bytes_done(1'073'741'824);
    update.mutable_filling()->set_bytes_per_second(1'073'741'824);
    writer.Write(update);
    if (!WaitUntilOpened(context)) return grpc::Status::CANCELLED;
    return Answer(tree)(request, writer, context);
  };
}

void FakeDaemon::Open() {
  {
    MutexLock lock(mutex_);
    open_ = true;
  }
  changed_.NotifyAll();
}

bool FakeDaemon::WaitUntilOpened(grpc::ServerContext& context) {
  bool cancelled = false;
  {
    MutexLock lock(mutex_);
    while (!open_ && !cancelled) {
      // The synchronous server tells of a cancellation only when asked.
      changed_.WaitUntil(lock, std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
      cancelled = context.IsCancelled();
    }
    if (cancelled) ++cancelled_;
  }
  changed_.NotifyAll();
  return !cancelled;
}

grpc::Status FakeDaemon::Acquire(grpc::ServerContext* context,
                                 const cache::v1::AcquireRequest* request, Writer* writer) {
  context->AddTrailingMetadata("weighhouse-answered", "1");
  Script script;
  {
    MutexLock lock(mutex_);
    acquires_.push_back(*request);
    script = script_;
  }
  changed_.NotifyAll();
  return script(*request, *writer, *context);
}

grpc::Status FakeDaemon::Release(grpc::ServerContext* /*context*/,
                                 const cache::v1::ReleaseRequest* request,
                                 cache::v1::ReleaseResponse* /*response*/) {
  {
    MutexLock lock(mutex_);
    releases_.push_back(request->lease_id());
  }
  changed_.NotifyAll();
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::SyncLeases(grpc::ServerContext* /*context*/,
                                    const cache::v1::SyncLeasesRequest* request,
                                    cache::v1::SyncLeasesResponse* /*response*/) {
  {
    MutexLock lock(mutex_);
    syncs_.push_back(*request);
  }
  changed_.NotifyAll();
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Info(grpc::ServerContext* context,
                              const cache::v1::InfoRequest* /*request*/,
                              cache::v1::InfoResponse* response) {
  bool held = false;
  {
    MutexLock lock(mutex_);
    ++infos_;
    held = infos_held_;
  }
  changed_.NotifyAll();
  if (held && !WaitUntilOpened(*context)) return grpc::Status::CANCELLED;
  MutexLock lock(mutex_);
  *response = info_;
  return grpc::Status::OK;
}

void FakeDaemon::Resolve(const std::string& commit, uint64_t capacity_bytes) {
  MutexLock lock(mutex_);
  resolution_.set_commit(commit);
  resolution_.set_capacity_bytes(capacity_bytes);
}

void FakeDaemon::RefuseClaims(grpc::Status status) {
  MutexLock lock(mutex_);
  claims_refusal_ = std::move(status);
}

void FakeDaemon::HoldClaims() {
  MutexLock lock(mutex_);
  claims_held_ = true;
}

std::chrono::milliseconds FakeDaemon::create_patience() const {
  MutexLock lock(mutex_);
  return create_patience_;
}

bool FakeDaemon::WaitUnlessFree(grpc::ServerContext& context) {
  {
    MutexLock lock(mutex_);
    if (!claims_held_) return true;
  }
  return WaitUntilOpened(context);
}

void FakeDaemon::SetCapacity(cache::v1::CapacityResponse capacity) {
  MutexLock lock(mutex_);
  capacity_ = std::move(capacity);
}

std::vector<cache::v1::CreateVolumeRequest> FakeDaemon::creates() const {
  MutexLock lock(mutex_);
  return creates_;
}

std::vector<std::string> FakeDaemon::deletes() const {
  MutexLock lock(mutex_);
  return deletes_;
}

std::vector<cache::v1::CapacityRequest> FakeDaemon::capacities() const {
  MutexLock lock(mutex_);
  return capacities_;
}

void FakeDaemon::WaitForCreates(size_t count) {
  WaitFor([this]() NO_THREAD_SAFETY_ANALYSIS { return creates_.size(); }, count);
}

grpc::Status FakeDaemon::CreateVolume(grpc::ServerContext* context,
                                      const cache::v1::CreateVolumeRequest* request,
                                      cache::v1::CreateVolumeResponse* response) {
  context->AddTrailingMetadata("weighhouse-answered", "1");
  auto patience = context->deadline() - std::chrono::system_clock::now();
  {
    MutexLock lock(mutex_);
    creates_.push_back(*request);
    create_patience_ = std::chrono::duration_cast<std::chrono::milliseconds>(patience);
  }
  changed_.NotifyAll();
  if (!WaitUnlessFree(*context)) return grpc::Status::CANCELLED;
  MutexLock lock(mutex_);
  if (!claims_refusal_.ok()) return claims_refusal_;
  auto [entry, made] = volumes_.try_emplace(request->volume_id(), resolution_);
  cache::v1::Volume& volume = entry->second;
  if (!made && volume.request_digest() != request->request_digest()) {
    return {grpc::StatusCode::ALREADY_EXISTS, "made for another request"};
  }
  volume.set_volume_id(request->volume_id());
  volume.set_request_digest(request->request_digest());
  volume.set_capacity_bytes(std::max(volume.capacity_bytes(), request->required_bytes()));
  *response->mutable_volume() = volume;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::DeleteVolume(grpc::ServerContext* context,
                                      const cache::v1::DeleteVolumeRequest* request,
                                      cache::v1::DeleteVolumeResponse* /*response*/) {
  context->AddTrailingMetadata("weighhouse-answered", "1");
  if (!WaitUnlessFree(*context)) return grpc::Status::CANCELLED;
  MutexLock lock(mutex_);
  deletes_.push_back(request->volume_id());
  if (claims_refusal_.ok()) volumes_.erase(request->volume_id());
  return claims_refusal_;
}

grpc::Status FakeDaemon::GetVolume(grpc::ServerContext* context,
                                   const cache::v1::GetVolumeRequest* request,
                                   cache::v1::GetVolumeResponse* response) {
  context->AddTrailingMetadata("weighhouse-answered", "1");
  if (!WaitUnlessFree(*context)) return grpc::Status::CANCELLED;
  MutexLock lock(mutex_);
  if (!claims_refusal_.ok()) return claims_refusal_;
  auto found = volumes_.find(request->volume_id());
  if (found == volumes_.end()) return {grpc::StatusCode::NOT_FOUND, "not made here"};
  *response->mutable_volume() = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Capacity(grpc::ServerContext* context,
                                  const cache::v1::CapacityRequest* request,
                                  cache::v1::CapacityResponse* response) {
  context->AddTrailingMetadata("weighhouse-answered", "1");
  if (!WaitUnlessFree(*context)) return grpc::Status::CANCELLED;
  MutexLock lock(mutex_);
  capacities_.push_back(*request);
  if (!claims_refusal_.ok()) return claims_refusal_;
  *response = capacity_;
  return grpc::Status::OK;
}

}  // namespace weighhouse::csi
