#pragma once

#include <memory>

#include <grpcpp/support/server_interceptor.h>

namespace weighhouse::csi {

/// Gives every UNIMPLEMENTED without a message one that names the call: gRPC's answer to a call
/// that no service overrides has none, and the contract wants one with every error (CSI
/// specification, "Error Scheme").
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> NameUnofferedCalls();

}  // namespace weighhouse::csi
