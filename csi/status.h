#pragma once

#include <grpcpp/support/status.h>

#include "base/error.h"

namespace weighhouse::csi {

/// The gRPC status of an outcome: our codes have gRPC's numbers. Never with details (CSI
/// specification, "Error Scheme").
grpc::Status ToStatus(const Error& error);
grpc::Status ToStatus(const Result<>& outcome);

}  // namespace weighhouse::csi
