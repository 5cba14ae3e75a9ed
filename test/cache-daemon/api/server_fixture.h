#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "cache-daemon/api/server.h"
#include "proto/cache.grpc.pb.h"
#include "test/cache-daemon/api/fake_engine.h"
#include "test/cache-daemon/metrics/page_reader.h"
#include "test/support/callback_queue.h"

namespace weighhouse::api {

namespace pb = ::weighhouse::cache::v1;

inline const std::string kLease(64, 'a');

/// A server on sockets of its own over a FakeEngine.
class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    KeepCallbackQueue();
    std::string pattern = ::testing::TempDir() + "/server.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    Result<std::unique_ptr<Server>> server =
        Server::Start(engine_, {.socket_directory = directory_,
                                .recent_errors =
                                    [] {
                                      return std::vector<RecentError>{
                                          {.level = "error", .message = "hf://org/name: gone"}};
                                    },
                                .metrics = metrics::CallMetrics(registry_)});
    if (!server) ADD_FAILURE() << server.error().message;
    if (server) server_ = std::move(*server);
    node_ = Dial("node.sock");
    admin_ = Dial("admin.sock");
    watch_ = Dial("watch.sock");
  }
  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::unique_ptr<pb::Cache::Stub> Dial(const std::string& name) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return pb::Cache::NewStub(grpc::CreateCustomChannel(
        "unix://" + directory_ + "/" + name, grpc::InsecureChannelCredentials(), arguments));
  }

  static pb::AcquireRequest AcquireOf(const std::string& uri) {
    pb::AcquireRequest request;
    request.set_lease_id(kLease);
    request.mutable_holder()->set_target_path("/target");
    request.mutable_model()->set_uri(uri);
    return request;
  }

  static fill::FillProgress Done(Bytes bytes) {
    return {.bytes_total = 1000, .bytes_done = bytes, .bytes_per_second = 10};
  }

  std::string Calls(const std::string& method, const std::string& code) const {
    std::string labels = "{code=\"" + code + "\",method=\"" + method + "\"}";
    return ValueOf(registry_.Page({}), "weighhouse_grpc_calls_total" + labels).value_or("absent");
  }

  std::string directory_;
  metrics::Registry registry_;
  FakeEngine engine_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<pb::Cache::Stub> node_, admin_, watch_;
};

}  // namespace weighhouse::api
