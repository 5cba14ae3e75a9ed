#include "agent/daemon_watch.h"

#include <algorithm>
#include <utility>

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <spdlog/spdlog.h>

#include "base/thread.h"

namespace weighhouse::agent {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto kListWithin = 10s;
/// Between two tries to reach the daemon: it may just be starting.
constexpr milliseconds kFirstWait = 500ms, kLastWait = 10s;
/// A listing of as many models as a node may hold.
constexpr int kMostListingBytes = 64 << 20;

std::shared_ptr<grpc::Channel> Connect(const std::string& socket) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMostListingBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, static_cast<int>(kFirstWait.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(kFirstWait.count()));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(kLastWait.count()));
  return grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
}

Error ToError(const grpc::Status& status) {
  if (status.ok()) return {.code = Code::kUnavailable, .message = "the daemon ended the call"};
  return {.code = static_cast<Code>(status.error_code()), .message = status.error_message()};
}

}  // namespace

DaemonWatch::DaemonWatch(const std::string& socket)
    : socket_(socket), stub_(cache::v1::Cache::NewStub(Connect(socket))) {
  thread_ = StartThread("watch", [this](const std::stop_token& stop) { Run(stop); });
}

DaemonWatch::~DaemonWatch() = default;  // the thread is the last member: it ends first

void DaemonWatch::Run(const std::stop_token& stop) {
  milliseconds wait = kFirstWait;
  std::string last_told;
  while (!stop.stop_requested()) {
    bool told = false;
    Error ended = Follow(stop, told);
    if (stop.stop_requested()) return;
    if (told) {
      wait = kFirstWait;
      last_told.clear();
    }
    if (ended.message != last_told) {
      spdlog::warn(
          "{}: {}: trying again (is weighhouse-cached running, and told "
          "--allow-watch-uid with this user?)",
          socket_, ended.message);
      last_told = ended.message;
    }
    if (!SleepUntil(std::chrono::steady_clock::now() + wait, stop)) return;
    wait = std::min(wait * 2, kLastWait);
  }
}

Error DaemonWatch::Follow(const std::stop_token& stop, bool& told) {
  grpc::ClientContext context;
  std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  auto stream = stub_->WatchPublishes(&context, cache::v1::WatchPublishesRequest());
  cache::v1::PublishesUpdate update;
  while (stream->Read(&update)) {
    if (!told) spdlog::info("{}: following what pods wait for", socket_);
    told = true;
    MutexLock lock(mutex_);
    newest_ = std::move(update);
    update = cache::v1::PublishesUpdate();
    changed_.NotifyAll();
  }
  return ToError(stream->Finish());
}

std::optional<cache::v1::PublishesUpdate> DaemonWatch::Wait(Time until,
                                                            const std::stop_token& stop) {
  std::stop_callback wake(stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  MutexLock lock(mutex_);
  while (!newest_ && !stop.stop_requested()) {
    if (!changed_.WaitUntil(lock, until)) break;
  }
  return std::exchange(newest_, std::nullopt);
}

std::optional<cache::v1::PublishesUpdate> DaemonWatch::Poll() {
  MutexLock lock(mutex_);
  return std::exchange(newest_, std::nullopt);
}

Result<cache::v1::ListResponse> DaemonWatch::List(const std::stop_token& stop) {
  grpc::ClientContext context;
  std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  context.set_deadline(std::chrono::system_clock::now() + kListWithin);
  cache::v1::ListResponse response;
  grpc::Status status = stub_->List(&context, cache::v1::ListRequest(), &response);
  if (!status.ok()) return std::unexpected(ToError(status));
  return response;
}

}  // namespace weighhouse::agent
