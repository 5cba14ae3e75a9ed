#include "csi/status.h"

namespace weighhouse::csi {

static_assert(static_cast<int>(Code::kCancelled) == static_cast<int>(grpc::StatusCode::CANCELLED));
static_assert(static_cast<int>(Code::kInvalidArgument) ==
              static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
static_assert(static_cast<int>(Code::kAborted) == static_cast<int>(grpc::StatusCode::ABORTED));
static_assert(static_cast<int>(Code::kUnauthenticated) ==
              static_cast<int>(grpc::StatusCode::UNAUTHENTICATED));

grpc::Status ToStatus(const Error& error) {
  // The contract wants a message with every error.
  std::string message = error.message.empty() ? std::string(CodeName(error.code)) : error.message;
  return {static_cast<grpc::StatusCode>(error.code), message};
}

grpc::Status ToStatus(const Result<>& outcome) {
  return outcome ? grpc::Status::OK : ToStatus(outcome.error());
}

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace weighhouse::csi
