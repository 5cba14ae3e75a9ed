#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>

#include "base/unique_fd.h"
#include "cli/doctor_gather.h"
#include "proto/cache.grpc.pb.h"

namespace weighhouse::cli {
namespace {

namespace pb = ::weighhouse::cache::v1;
using namespace std::chrono_literals;

constexpr auto kSocketAnswersWithin = 2s;

/// Tries the socket by itself: gRPC's own error doesn't say why nobody answers.
void TryConnect(SocketFacts& facts) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (facts.path.size() >= sizeof address.sun_path) {
    facts.connect_error = ENAMETOOLONG;
    return;
  }
  std::memcpy(address.sun_path, facts.path.data(), facts.path.size());
  // Not blocking: with a backlog that is full it would wait for whoever takes nothing from it.
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    facts.connect_error = errno;
    return;
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) facts.listener = peer.pid;
}

std::unique_ptr<pb::Cache::Stub> Connect(const std::string& path) {
  grpc::ChannelArguments arguments;
  arguments.SetInt("grpc.use_local_subchannel_pool", 1);
  return pb::Cache::NewStub(
      grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments));
}

Error ErrorOf(const grpc::Status& status) {
  if (status.error_code() == grpc::DEADLINE_EXCEEDED) {
    return {.code = Code::kDeadlineExceeded,
            .message = fmt::format("no answer within {} s", kSocketAnswersWithin.count())};
  }
  return {.code = static_cast<Code>(status.error_code()), .message = status.error_message()};
}

}  // namespace

SocketFacts AskSocket(const std::string& path) {
  SocketFacts facts{.path = path};
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    facts.stat_error = errno;
    return facts;
  }
  facts.is_socket = S_ISSOCK(status.st_mode);
  facts.owner = status.st_uid;
  facts.group = status.st_gid;
  facts.mode = status.st_mode & 07777;
  if (!facts.is_socket) return facts;
  TryConnect(facts);
  if (facts.connect_error != 0) return facts;
  std::unique_ptr<pb::Cache::Stub> stub = Connect(path);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kSocketAnswersWithin);
  pb::InfoResponse info;
  grpc::Status answer = stub->Info(&context, {}, &info);
  if (answer.ok()) {
    facts.info = std::move(info);
  } else {
    facts.call_error = ErrorOf(answer);
  }
  return facts;
}

std::optional<pb::CapacityResponse> AskCapacity(const std::string& path) {
  std::unique_ptr<pb::Cache::Stub> stub = Connect(path);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kSocketAnswersWithin);
  pb::CapacityResponse capacity;
  if (!stub->Capacity(&context, {}, &capacity).ok()) return std::nullopt;
  return capacity;
}

}  // namespace weighhouse::cli
