#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "base/error.h"

namespace weighhouse::csi {

/// The gRPC status of an outcome: our codes have gRPC's numbers. Never with details (CSI
/// specification, "Error Scheme").
grpc::Status ToStatus(const Error& error);
grpc::Status ToStatus(const Result<>& outcome);

/// Ends a call whose answer is known: the reactor to return.
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 const grpc::Status& status = grpc::Status::OK);

}  // namespace weighhouse::csi
