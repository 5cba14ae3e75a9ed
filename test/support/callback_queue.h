#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include <grpcpp/grpcpp.h>

#include "proto/cache.grpc.pb.h"

namespace weighhouse {

/// Keeps gRPC's callback queue for the life of the test program. gRPC 1.51 shares one between all
/// channels and servers, tears it down with the last of them, and may abort ("ref_counted.h: prior
/// > 0") if one is made at that moment. A real program keeps its channel and server; a test program
/// makes and drops hundreds.
inline void KeepCallbackQueue() {
  static const std::shared_ptr<grpc::Channel> channel = [] {
    auto kept = grpc::CreateChannel("unix:/nonexistent", grpc::InsecureChannelCredentials());
    auto stub = cache::v1::Cache::NewStub(kept);
    grpc::ClientContext context;
    cache::v1::InfoRequest request;
    cache::v1::InfoResponse response;
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    // The queue is made by the first call; that this one fails doesn't matter.
    stub->async()->Info(&context, &request, &response, [&](const grpc::Status&) {
      std::lock_guard lock(mutex);
      done = true;
      changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
    return kept;
  }();
}

}  // namespace weighhouse
